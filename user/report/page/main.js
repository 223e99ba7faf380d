// Puts the parts together: what is chosen in one shows in the others.
import { readData } from './data.js';
import { Flame, kindOf } from './flame.js';
import { fillHead, fillVerdict } from './summary.js';
import { Tables } from './tables.js';
import { startTheme } from './theme.js';
import { Timeline } from './timeline.js';
import { Tree } from './tree.js';
import { Weights, WORDS } from './weights.js';
import { el } from './words.js';

const at = (id) => document.getElementById(id);

class Page {
	constructor(data) {
		this.data = data;
		this.tree = new Tree(data.tree, data.frames);
		this.weights = new Weights(data, this.tree);
		fillHead(data);
		fillVerdict(data);
		this.makeTimeline();
		this.makeFlame();
		this.tables = new Tables(at('tabs'), at('table'), data, this.tree, {
			weight: this.weights.name,
			onTime: (from, to) => this.timeline?.chooseTime(from, to),
			onNode: (node) => this.showNode(node),
		});
		startTheme(() => this.timeline?.recolour());
		this.listen();
	}

	makeTimeline() {
		if (!this.data.points.cnt) {
			at('plot').remove();
			at('plot-note').textContent = 'How the figures went by was not kept for this report.';
			return;
		}
		this.timeline = new Timeline(at('plot'), { legend: at('legend'), text: at('range-text'), clear: at('range-clear') },
			this.data, (range) => this.setRange(range));
		at('plot-note').textContent = this.data.steps.length > 1
			? 'Drag over a time, or focus and use the arrows: the flame graph shows what changed in it.' : '';
	}

	makeFlame() {
		if (!this.data.report.allocs) {
			at('graph').hidden = true;
			return;
		}
		this.flame = new Flame(at('flame'), { detail: at('detail'), tip: at('tip'), out: at('zoom-out'), found: at('found') },
			this.tree, this.weights);
		for (const name of this.weights.names) {
			const choice = el('button', this.weights.word(name));

			choice.title = WORDS[name]?.[1] ?? '';
			choice.dataset.weight = name;
			choice.setAttribute('role', 'radio');
			choice.addEventListener('click', () => this.setWeight(name));
			at('weights').append(choice);
		}
		this.showWeights();
		this.flame.draw();
	}

	showWeights() {
		const { weights } = this;

		for (const choice of at('weights').children) {
			const name = choice.dataset.weight;

			choice.textContent = weights.word(name);
			choice.setAttribute('aria-checked', String(name === weights.name));
			choice.disabled = !!weights.range && !weights.isByTime(name);
			choice.tabIndex = name === weights.name ? 0 : -1;
		}
		at('graph-note').replaceChildren(...this.note());
	}

	note() {
		const { weights } = this, what = WORDS[weights.name]?.[1] ?? '';
		const words = weights.range && weights.name === 'live' ? 'bytes that live blocks of a stack have grown by' : what;
		const kinds = [...new Set(this.data.frames.map(kindOf))].filter((kind) => kind !== 'none');
		const names = { script: 'Python and other scripts', native: 'native code', libc: 'C library and allocators',
			interpreter: 'interpreter' };

		return [`${words[0].toUpperCase()}${words.slice(1)}${weights.range ? ', in the range chosen above' : ''}.`,
			...kinds.map((kind) => el(`span.kind.${kind}`, names[kind]))];
	}

	setWeight(name) {
		this.weights.name = name;
		this.showWeights();
		this.flame?.draw();
	}

	setRange(range) {
		this.weights.range = range;
		if (range && !this.weights.isByTime(this.weights.name))
			this.weights.name = 'live';
		if (!this.flame)
			return;
		this.showWeights();
		this.flame.draw();
	}

	showNode(node) {
		const { names, nodes, figures } = this.weights, i = nodes.indexOf(node);

		if (!this.weights.current().total[node])
			this.setWeight(names.find((name) => figures[name][i] > 0));
		this.flame.show(node);
	}

	nextWeight(by) {
		const names = this.weights.names.filter((name) => !this.weights.range || this.weights.isByTime(name));

		this.setWeight(names[(names.indexOf(this.weights.name) + by + names.length) % names.length]);
	}

	key(event) {
		const keys = {
			'/': () => at('search').focus(), w: () => this.nextWeight(1), W: () => this.nextWeight(-1),
			0: () => this.flame?.zoom(0), Escape: () => this.flame?.zoom(0), r: () => this.timeline?.choose(null),
			t: () => at('theme-button').click(), '?': () => at('keys').showModal(),
		};

		if (event.ctrlKey || event.altKey || event.metaKey || at('keys').open || !keys[event.key])
			return;
		if (event.target.matches?.('input')) {
			if (event.key === 'Escape')
				at('flame').focus();
			return;
		}
		keys[event.key]();
		event.preventDefault();
	}

	listen() {
		let waiting;

		addEventListener('keydown', (event) => this.key(event));
		at('keys-button').addEventListener('click', () => at('keys').showModal());
		at('search').addEventListener('input', () => {
			clearTimeout(waiting);
			waiting = setTimeout(() => this.flame?.search(at('search').value), 120);
		});
		at('weights').addEventListener('keydown', (event) => {
			const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];

			if (!by)
				return;
			this.nextWeight(by);
			at('weights').querySelector('[aria-checked=true]').focus();
			event.preventDefault();
		});
		new ResizeObserver(() => {
			if (this.timeline && this.timeline.plot.width !== at('plot').clientWidth)
				this.timeline.resize();
			if (this.flame && this.flame.width !== at('flame').clientWidth)
				this.flame.draw();
		}).observe(document.body);
	}
}

async function start() {
	try {
		globalThis.page = new Page(await readData(at('data').textContent));
		document.documentElement.dataset.ready = String(Math.round(performance.now()));
	} catch (error) {
		at('broken').textContent = `This page cannot be shown: ${error.message}. It needs a browser of 2023 or later.`;
		at('broken').hidden = false;
		throw error;
	}
}

start();
