// The flame graph. d3-flame-graph draws what can be seen; which part that is, zoom and keys are here, for it could
// not hold a hundred thousand stacks.
import flamegraph from 'd3-flame-graph';
import { select } from 'd3-selection';
import 'd3-transition';
import { bytes, count, el, frameText, share } from './words.js';

const CELL = 19;
const FRAMES_MOST = 1500;

const ALLOCATORS = /^(libc[.-]|libmimalloc|libjemalloc|libtcmalloc|ld-linux|ld-musl|libstdc\+\+)/;
const INTERPRETERS = /^(libpython|python3?[.\d]*$|node$)/;

// Of which kind a frame's code is: its colour.
export function kindOf(frame) {
	if (frame.name.startsWith('[') && !frame.module)
		return 'none';
	if (!frame.module)
		return 'script';
	if (ALLOCATORS.test(frame.module))
		return 'libc';
	return INTERPRETERS.test(frame.module) ? 'interpreter' : 'native';
}

// Neighbours differ a little, and one name looks the same everywhere.
function shadeOf(text) {
	let hash = 0;

	for (let i = 0; i < text.length; i++)
		hash = (hash * 31 + text.charCodeAt(i)) | 0;
	return Math.abs(hash) % 5;
}

export class Flame {
	constructor(container, parts, tree, weights) {
		this.container = container;
		this.parts = parts; // detail, tip, out, found
		this.tree = tree;
		this.weights = weights;
		this.focus = 0;
		this.chosen = 0;
		this.drawn = new Map(); // node → what is drawn of it
		this.wanted = '';
		this.matches = null;
		this.chart = this.makeChart();
		this.listen();
	}

	makeChart() {
		const tip = () => {};

		tip.show = (event, d) => this.showTip(event, d);
		tip.hide = () => { this.parts.tip.hidden = true; };
		return flamegraph().cellHeight(CELL).inverted(true).transitionDuration(0).minFrameSize(0)
			.resetHeightOnZoom(true).tooltip(tip).setColorMapper((d) => this.colour(d));
	}

	colour(d) {
		const frame = this.tree.frameOf(d.data.node), kind = d.data.node ? kindOf(frame) : 'none';

		if (this.matches && d.data.node && this.matches[this.tree.frame[d.data.node]])
			return 'var(--found)';
		return `var(--${kind}-${shadeOf(frame.module ?? frame.file ?? frame.name)})`;
	}

	figure(value) {
		return this.weights.isCount() ? count(value) : bytes(value);
	}

	// Callers of the focus, as wide as it is, with what lies below it.
	data(total) {
		let data = this.tree.visible(this.focus, total, this.width, FRAMES_MOST);

		if (!this.focus)
			return data;
		for (const node of [0, ...this.tree.path(this.focus)].reverse().slice(1))
			data = { node, value: data.value, name: frameText(this.tree.frameOf(node)), children: [data], fade: true };
		return data;
	}

	remember(data, parent) {
		data.parent = parent;
		this.drawn.set(data.node, data);
		for (const child of data.children)
			this.remember(child, data);
	}

	draw() {
		const { total } = this.weights.current(), scrolled = this.container.scrollTop;

		this.width = this.container.clientWidth;
		if (!total[this.focus])
			this.focus = 0;
		this.drawn.clear();
		const data = this.data(total);

		this.remember(data, null);
		this.chart.width(this.width);
		if (this.isDrawn)
			this.chart.update(data);
		else
			select(this.container).datum(data).call(this.chart);
		this.isDrawn = true;
		this.settle();
		this.container.classList.toggle('empty', !total[0]);
		this.container.classList.toggle('searched', !!this.matches);
		this.parts.out.hidden = !this.focus;
		this.container.scrollTop = scrolled;
		this.mark();
		this.sayFound();
	}

	// At once, what d3-flame-graph does in transitions, however short: the next draw may be near.
	settle() {
		const frames = select(this.container).selectAll('g.frame');
		const wide = (d) => (d.x1 - d.x0) * this.width;

		frames.interrupt().attr('transform', (d) => `translate(${d.x0 * this.width},${d.depth * CELL})`);
		frames.select('rect').interrupt().attr('width', wide);
		frames.select('div').interrupt().text((d) => wide(d) < 35 ? '' : d.data.name);
	}

	// What of all is in frames that match.
	sayFound() {
		const { total } = this.weights.current();

		if (!this.matches) {
			this.parts.found.textContent = '';
			return;
		}
		const sum = this.tree.found(this.matches, total), frames = this.matches.reduce((n, v) => n + v, 0);

		this.parts.found.textContent = frames
			? `${this.figure(sum)}, ${share(sum, total[0])}, in ${count(frames)} frame${frames === 1 ? '' : 's'}`
			: 'nothing found';
	}

	search(text) {
		this.wanted = text;
		this.matches = this.tree.search(text);
		this.draw();
	}

	zoom(node) {
		this.focus = node;
		this.chosen = node;
		this.draw();
	}

	// Where a row of a table leads: its innermost frame, seen from the caller that makes it wide enough.
	show(node) {
		this.zoom(node);
		this.container.scrollIntoView({ block: 'nearest' });
		this.container.focus({ preventScroll: true });
		this.container.scrollTop = Math.max(0, this.tree.path(node).length * CELL - this.container.clientHeight / 2);
	}

	mark() {
		const chosen = this.drawn.has(this.chosen) ? this.chosen : this.focus;

		this.chosen = chosen;
		select(this.container).selectAll('g.frame').classed('chosen', (d) => d.data.node === chosen)
			.classed('match', (d) => !!this.matches && !!this.matches[this.tree.frame[d.data.node]]);
		this.describe(chosen);
	}

	describe(node) {
		const { self, total } = this.weights.current(), frame = this.tree.frameOf(node), own = Math.max(0, self[node]);

		this.parts.detail.replaceChildren(
			el('b', node ? frameText(frame) : 'all'),
			node && frame.module ? el('span.quiet', ` in ${frame.module}`) : '',
			` ${this.figure(total[node])}, ${share(total[node], total[0])} of all` +
				(own && own < total[node] ? `; itself ${this.figure(own)}` : ''));
	}

	showTip(event, d) {
		const { self, total } = this.weights.current(), node = d.data.node, frame = this.tree.frameOf(node);
		const { tip } = this.parts, own = Math.max(0, self[node]);

		tip.replaceChildren(
			el('b', frame.name),
			el('div.quiet', [frame.module, frame.file && frame.file + (frame.line ? `:${frame.line}` : '')]
				.filter(Boolean).join(' · ')),
			el('div', `${this.figure(total[node])}, ${share(total[node], total[0])} of all` +
				(this.focus ? `, ${share(total[node], total[this.focus])} of what is shown` : '')),
			own && own < total[node] ? el('div', `itself ${this.figure(own)}`) : '');
		tip.hidden = false;
		tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
		tip.style.top = `${event.clientY + 22 + tip.offsetHeight > innerHeight
			? event.clientY - tip.offsetHeight - 12 : event.clientY + 22}px`;
	}

	// The frame that an arrow leads to.
	neighbour(key) {
		const at = this.drawn.get(this.chosen), row = at?.parent?.children ?? [], i = row.indexOf(at);

		return { ArrowUp: at?.parent, ArrowDown: at?.children[0], ArrowLeft: row[i - 1], ArrowRight: row[i + 1] }[key];
	}

	key(event) {
		const to = this.neighbour(event.key);

		if (event.altKey || event.ctrlKey || event.metaKey)
			return;
		if (to) {
			this.chosen = to.node;
			this.mark();
			this.reveal();
		} else if (event.key === 'Enter') {
			this.zoom(this.chosen);
		} else if (event.key === 'Escape' && this.focus) {
			this.zoom(0);
		} else if (!event.key.startsWith('Arrow')) {
			return;
		}
		event.preventDefault();
		event.stopPropagation();
	}

	reveal() {
		const top = this.tree.path(this.chosen).length * CELL, box = this.container;

		if (top < box.scrollTop)
			box.scrollTop = top;
		else if (top + 2 * CELL > box.scrollTop + box.clientHeight)
			box.scrollTop = top + 2 * CELL - box.clientHeight;
	}

	listen() {
		// Before d3-flame-graph's own handler, which would zoom among what is drawn.
		this.container.addEventListener('click', (event) => {
			const frame = event.target.closest('g.frame');

			event.stopPropagation();
			if (frame)
				this.zoom(select(frame).datum().data.node);
		}, true);
		this.container.addEventListener('keydown', (event) => this.key(event));
		this.parts.out.addEventListener('click', () => this.zoom(0));
	}
}
