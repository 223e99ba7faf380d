// The page's data, as report/page_data.h describes it.

function bytesOf(base64) {
	const text = atob(base64), bytes = new Uint8Array(text.length);

	for (let i = 0; i < text.length; i++)
		bytes[i] = text.charCodeAt(i);
	return bytes;
}

async function inflate(bytes) {
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));

	return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Reader {
	constructor(bytes) {
		this.bytes = bytes;
		this.at = 0;
		this.decoder = new TextDecoder();
	}

	// LEB128. Beyond 2^53 figures are as exact as numbers here are; behind the end all are 0, which check() finds.
	number() {
		const { bytes } = this;
		let byte = bytes[this.at++];

		if (byte < 128)
			return byte;
		let value = byte & 127, scale = 128;

		do {
			byte = bytes[this.at++];
			value += (byte & 127) * scale;
			scale *= 128;
		} while (byte & 128);
		return value;
	}

	check() {
		if (this.at !== this.bytes.length)
			throw new Error('its data are not whole');
	}

	signed() {
		const value = this.number();

		return value % 2 ? -(value + 1) / 2 : value / 2;
	}

	text() {
		const length = this.number(), begin = this.at;

		this.at += length;
		return this.decoder.decode(this.bytes.subarray(begin, this.at));
	}

	list(read) {
		const list = new Array(this.number());

		for (let i = 0; i < list.length; i++)
			list[i] = read(i);
		return list;
	}
}

function readFrames(r) {
	const texts = r.list(() => r.text());
	const text = () => texts[r.number() - 1] ?? null;

	return r.list(() => ({ name: text(), module: text(), file: text(), line: r.number() }));
}

// Node 0 is the root, which has no frame.
function readNodes(r) {
	const cnt = r.number() + 1, parent = new Uint32Array(cnt), frame = new Uint32Array(cnt);

	for (let i = 1; i < cnt; i++) {
		let above = i - 1;

		for (let up = r.number(); up > 0; up--)
			above = parent[above];
		parent[i] = above;
		frame[i] = r.number();
	}
	return { cnt, parent, frame };
}

// The nodes that weigh anything themselves, and what each does, by weight.
function readWeights(r, names) {
	const nodes = new Uint32Array(r.number()), weights = {};
	let node = 0;

	for (let i = 0; i < nodes.length; i++)
		nodes[i] = node += r.number();
	for (const name of names) {
		const weight = weights[name] = new Float64Array(nodes.length);

		for (let i = 0; i < nodes.length; i++)
			weight[i] = r.number();
	}
	return { nodes, weights };
}

// Half of the 95 % interval of each, where figures are estimates; null: not known.
function readErrors(r, names, cnt) {
	const errors = {};

	for (const name of names)
		errors[name] = Array.from({ length: cnt }, () => {
			const half = r.number();

			return half ? half - 1 : null;
		});
	return errors;
}

const FIGURES = ['rss', 'held', 'resident', 'live_heap', 'retained', 'purgeable', 'pinned', 'live', 'allocated',
	'freed', 'cgroup_current', 'cgroup_limit', 'reopens'];

// Times are seconds since the epoch; what nobody knows is null.
function readPoints(r, started) {
	const cnt = r.number(), points = { cnt, time: new Array(cnt) };
	let ms = 0;

	for (let i = 0; i < cnt; i++)
		points.time[i] = started + (ms += r.number()) / 1000;
	for (const name of FIGURES) {
		const figure = points[name] = new Array(cnt);

		for (let i = 0; i < cnt; i++) {
			const value = r.number();

			figure[i] = value ? value - 1 : null;
		}
	}
	return points;
}

function readSteps(r, started) {
	let ms = 0;

	return r.list(() => {
		const end = started + (ms += r.number()) / 1000, cnt = r.number();
		const step = {
			end, nodes: new Uint32Array(cnt), live: new Float64Array(cnt), allocated: new Float64Array(cnt),
			freed: new Float64Array(cnt), count: new Float64Array(cnt),
		};
		let node = 0;

		for (let i = 0; i < cnt; i++)
			step.nodes[i] = node += r.number();
		for (let i = 0; i < cnt; i++)
			step.allocated[i] = r.number();
		for (let i = 0; i < cnt; i++)
			step.live[i] = step.allocated[i] - r.signed();
		for (let i = 0; i < cnt; i++)
			step.freed[i] = r.number();
		for (let i = 0; i < cnt; i++)
			step.count[i] = r.number();
		return step;
	});
}

export async function readData(base64) {
	const r = new Reader(await inflate(bytesOf(base64)));
	const { report, page } = JSON.parse(r.text());
	const frames = readFrames(r), tree = readNodes(r), weighed = readWeights(r, page.weights);
	const data = {
		report, page, frames, tree, ...weighed, errors: readErrors(r, page.errors, weighed.nodes.length),
		points: readPoints(r, report.started),
		steps: readSteps(r, report.started),
	};

	r.check();
	return data;
}
