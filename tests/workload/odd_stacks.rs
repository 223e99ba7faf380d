// Rust's own frames: closures, trait objects, generic sorting with a callback, hash tables,
// unwinding from a panic, deep recursion, threads.
//
//   odd_stacks     prints {"pid"} and works until the end of stdin
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

static OVER: AtomicBool = AtomicBool::new(false);

trait Shape {
    fn name(&self) -> String;
}

struct Square(u32);
struct Circle(f64);

impl Shape for Square {
    fn name(&self) -> String {
        format!("a square of {}", self.0)
    }
}

impl Shape for Circle {
    fn name(&self) -> String {
        format!("a circle of {:.3}", self.0)
    }
}

#[inline(never)]
fn recurse(depth: u32) -> usize {
    let ballast = [depth as u8; 40];
    if depth == 0 {
        return black_box(vec![1u8; 200]).len();
    }
    recurse(depth - 1) + black_box(ballast)[3] as usize
}

#[inline(never)]
fn panics(number: u32) {
    let _owned = vec![number; 20];
    if number % 2 == 0 {
        panic!("{}", number);
    }
}

fn round(number: u32) {
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Square(number)), Box::new(Circle(number as f64))];
    let mut names: Vec<String> = shapes.iter().map(|shape| shape.name()).collect();
    let mut table = HashMap::new();
    let mut tree = BTreeMap::new();

    names.sort_by_key(|name| name.to_uppercase());
    for i in 0..50 {
        table.entry(i % 7).or_insert_with(Vec::new).push(i.to_string());
        tree.insert(format!("{}", i * 7919 % 50), i);
    }
    recurse(number % 90);
    let _ = std::panic::catch_unwind(|| panics(number));
    black_box((names, table, tree));
}

fn work() {
    let mut number = 0;
    while !OVER.load(Ordering::Relaxed) {
        round(number);
        number = number.wrapping_add(1);
    }
}

fn main() {
    let mut byte = [0];

    std::panic::set_hook(Box::new(|_| {}));
    println!("{{\"pid\": {}}}", std::process::id());
    std::io::stdout().flush().unwrap();
    let workers: Vec<_> = (0..2).map(|_| thread::spawn(work)).collect();
    while std::io::stdin().read(&mut byte).unwrap_or(0) > 0 {}
    OVER.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
}
