// The time line: figures as lines, findings over them, and the range that the flame graph follows.
import uPlot from 'uplot';
import { bytes, clock, el, seconds } from './words.js';

const LINES = [
	{ name: 'RSS', colour: '--rss', width: 2, figure: (p) => p.rss },
	{ name: 'resident', colour: '--resident', width: 1.5, dash: [5, 3], figure: (p) => p.resident },
	{ name: 'live', colour: '--live', width: 2, fill: true, figure: (p) => orElse(p.live_heap, p.live) },
	{ name: 'retained', colour: '--retained', width: 2, fill: true, figure: (p) => p.retained },
	{ name: 'purgeable', colour: '--purgeable', width: 1.5, dash: [3, 3], figure: (p) => p.purgeable },
	{ name: 'cgroup', colour: '--cgroup', width: 1.5, apart: true, figure: (p) => p.cgroup_current },
	{ name: 'limit', colour: '--limit', width: 1.5, apart: true, dash: [8, 4], figure: (p) => p.cgroup_limit },
];

const REOPENS_LEAST = 5; // a burst

function orElse(walked, seen) {
	return walked.some((v) => v !== null) ? walked : seen;
}

function css(name, alpha) {
	const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();

	return alpha === undefined ? colour : `color-mix(in srgb, ${colour} ${100 * alpha}%, transparent)`;
}

// Powers of two: bytes are read so.
function byteSplits(u, axis, min, max, increment) {
	const step = 2 ** Math.round(Math.log2(increment || 1)), splits = [];

	for (let v = Math.ceil(min / step) * step; v <= max; v += step)
		splits.push(v);
	return splits;
}

export class Timeline {
	constructor(container, parts, data, changed) {
		const { report, points, steps } = data;

		this.container = container;
		this.parts = parts; // legend, text, clear
		this.data = data;
		this.changed = changed;
		this.range = null; // steps [first, end)
		this.ends = [report.started, ...steps.map((s) => s.end)];
		this.lines = LINES.map((line) => ({ ...line, values: line.figure(points) }))
			.filter((line) => line.values.some((v) => v !== null));
		this.spread();
		this.hideFar();
		this.plot = new uPlot(this.options(), [points.time, ...this.lines.map((line) => line.values)], container);
		this.makeLegend();
		this.listen();
	}

	// A limit is known only where a report was made, and holds in between.
	spread() {
		const limit = this.lines.find((line) => line.name === 'limit');

		if (!limit)
			return;
		const first = limit.values.find((v) => v !== null);
		let last = first;

		limit.values = limit.values.map((v) => last = v ?? last);
	}

	// What the cgroup has and may have is shown where it is near: beside it all else would lie at the foot.
	hideFar() {
		const most = Math.max(...this.lines.filter((line) => !line.apart).flatMap((line) => line.values));

		for (const line of this.lines)
			line.hidden = line.apart && Math.max(...line.values) > 3 * most;
	}

	options() {
		const axis = {
			stroke: () => css('--quiet'), grid: { stroke: () => css('--grid'), width: 1 },
			ticks: { stroke: () => css('--grid'), width: 1, size: 4 },
			font: '11px system-ui, sans-serif',
		};

		return {
			width: this.container.clientWidth, height: 230,
			legend: { show: false },
			cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 }, y: false },
			scales: { x: { time: true, range: (u, min, max) => this.span(min, max) },
				y: { range: (u, min, max) => [0, Math.max(1, (max ?? 1) * 1.12)] } },
			axes: [{ ...axis, space: 90, size: 30, values: (u, v, i, space, step) => v.map((t) => clock(t).slice(0, step < 60 ? 8 : 5)) }, { ...axis, size: 66, splits: byteSplits, values: (u, v) => v.map((x) => bytes(x)) }],
			series: [{}, ...this.lines.map((line) => ({
				label: line.name, show: !line.hidden, spanGaps: true, width: line.width, dash: line.dash, points: { show: false },
				stroke: () => css(line.colour), fill: line.fill ? () => css(line.colour, 0.12) : undefined,
			}))],
			padding: [14, 12, 0, 0],
			hooks: {
				drawClear: [(u) => this.drawWindows(u)],
				draw: [(u) => this.drawMoments(u)],
				setSelect: [(u) => this.selected(u)],
				setCursor: [(u) => this.sayValues(u)],
			},
		};
	}

	span(min, max) {
		const { report } = this.data, from = Math.min(report.started, min ?? Infinity);

		return [from, Math.max(report.time, max ?? 0, from + 1)];
	}

	makeLegend() {
		this.chips = this.lines.map((line, i) => {
			const value = el('span.value'), chip = el('button.chip', el('i'), line.name, value);

			chip.style.setProperty('--colour', `var(${line.colour})`);
			chip.classList.toggle('dashed', !!line.dash);
			chip.setAttribute('aria-pressed', String(!line.hidden));
			chip.title = `show or hide ${line.name}`;
			chip.addEventListener('click', () => {
				const show = !this.plot.series[i + 1].show;

				this.plot.setSeries(i + 1, { show });
				chip.setAttribute('aria-pressed', String(show));
			});
			this.parts.legend.append(chip);
			return { chip, value };
		});
		this.sayValues(this.plot);
	}

	// At the cursor, else the last known.
	sayValues(u) {
		const at = u.cursor.idx;

		this.chips?.forEach(({ value }, i) => {
			const values = this.lines[i].values;
			let k = at ?? values.length - 1;

			while (k > 0 && values[k] === null)
				k--;
			value.textContent = bytes(values[k]);
		});
	}

	drawWindows(u) {
		const { ctx, bbox } = u;

		ctx.save();
		for (const w of this.data.report.windows) {
			const left = u.valToPos(w.start, 'x', true), right = u.valToPos(w.end ?? this.data.report.time, 'x', true);

			ctx.fillStyle = css('--window', 0.16);
			ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
			ctx.fillStyle = css('--window', 0.7);
			ctx.fillRect(left, bbox.top, Math.max(2, right - left), 3 * devicePixelRatio);
		}
		ctx.restore();
	}

	line(u, time, colour, dash) {
		const { ctx, bbox } = u, x = Math.round(u.valToPos(time, 'x', true)) + 0.5;

		ctx.strokeStyle = colour;
		ctx.lineWidth = devicePixelRatio;
		ctx.setLineDash(dash.map((d) => d * devicePixelRatio));
		ctx.beginPath();
		ctx.moveTo(x, bbox.top);
		ctx.lineTo(x, bbox.top + bbox.height);
		ctx.stroke();
		return x;
	}

	// Right of its line, else left of it, where there is still room beside those before it.
	label(u, x, text, colour) {
		const { ctx, bbox } = u, width = ctx.measureText(text).width, gap = 4 * devicePixelRatio;
		const left = [x + gap, x - gap - width].find((at) => at >= bbox.left && at + width <= bbox.left + bbox.width + gap &&
			!this.taken.some(([from, to]) => at < to && at + width > from));

		if (left === undefined)
			return;
		ctx.fillStyle = colour;
		ctx.fillText(text, left, bbox.top - 3 * devicePixelRatio);
		this.taken.push([left - gap, left + width + gap]);
	}

	drawMoments(u) {
		const { report, page } = this.data, { ctx } = u, marks = report.marks ?? page.marks;

		ctx.save();
		ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
		ctx.textAlign = 'left';
		ctx.textBaseline = 'alphabetic';
		this.taken = [];
		for (const m of marks)
			this.line(u, m.time, css('--mark'), [2, 3]);
		for (const p of [...report.purges].sort((a, b) => b.returned - a.returned)) {
			const colour = css(p.effective ? '--good' : '--bad');
			const x = this.line(u, p.time, colour, p.effective ? [] : [4, 3]);

			this.label(u, x, p.misdirected ? `✕ ${p.function}` : `−${bytes(p.returned)}`, colour);
		}
		for (const m of marks)
			this.label(u, u.valToPos(m.time, 'x', true), m.text || m.kind, css('--mark'));
		this.drawOpens(u);
		ctx.restore();
	}

	// dlopens of what is open already, at the foot: how many since the point before.
	drawOpens(u) {
		const { ctx, bbox } = u, { time, reopens } = this.data.points, foot = bbox.top + bbox.height;

		ctx.fillStyle = css('--open');
		reopens.forEach((cnt, i) => {
			const x = u.valToPos(time[i], 'x', true), size = (3 + Math.log10(cnt || 1)) * devicePixelRatio;

			if (cnt < REOPENS_LEAST)
				return;
			ctx.beginPath();
			ctx.moveTo(x - size, foot);
			ctx.lineTo(x, foot - 2.5 * size);
			ctx.lineTo(x + size, foot);
			ctx.fill();
		});
	}

	// The steps that a time lies in or touches.
	stepsOf(from, to) {
		let first = 0, end = this.ends.length - 1;

		while (first < end - 1 && this.ends[first + 1] <= from)
			first++;
		while (end > first + 1 && this.ends[end - 1] >= to)
			end--;
		return end > first ? [first, end] : null;
	}

	selected(u) {
		const { left, width } = u.select;

		if (this.isSetting)
			return;
		if (width < 3)
			this.show();
		else
			this.choose(this.stepsOf(u.posToVal(left, 'x'), u.posToVal(left + width, 'x')));
	}

	chooseTime(from, to) {
		this.choose(this.stepsOf(from, to));
		this.container.scrollIntoView({ block: 'nearest' });
	}

	choose(range) {
		const old = String(this.range);

		this.range = range;
		this.show();
		if (String(range) !== old)
			this.changed(range);
	}

	show() {
		const { range, ends, plot } = this, all = { left: 0, width: 0, top: 0, height: 0 };

		this.isSetting = true;
		if (range) {
			const left = plot.valToPos(ends[range[0]], 'x'), right = plot.valToPos(ends[range[1]], 'x');

			plot.setSelect({ left, width: right - left, top: 0, height: plot.over.clientHeight }, false);
		} else {
			plot.setSelect(all, false);
		}
		this.isSetting = false;
		this.parts.clear.hidden = !range;
		this.parts.text.textContent = range ? this.rangeText() : '';
	}

	rangeText() {
		const from = this.ends[this.range[0]], to = this.ends[this.range[1]];

		return `${clock(from)} – ${clock(to)} (${seconds(to - from)})`;
	}

	// By how many steps an arrow moves the range's begin and its end.
	key(event) {
		const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], last = this.ends.length - 1;

		if (event.key === 'Escape' && this.range)
			this.choose(null);
		else if (!by || last < 1)
			return;
		else if (!this.range)
			this.choose(by < 0 ? [last - 1, last] : [0, 1]);
		else
			this.choose(this.moved(by, event.shiftKey, last));
		event.preventDefault();
		event.stopPropagation();
	}

	moved(by, widen, last) {
		const [first, end] = this.range;

		if (widen)
			return [first, Math.min(last, Math.max(first + 1, end + by))];
		return first + by < 0 || end + by > last ? this.range : [first + by, end + by];
	}

	listen() {
		this.container.addEventListener('keydown', (event) => this.key(event));
		this.parts.clear.addEventListener('click', () => this.choose(null));
	}

	resize() {
		this.plot.setSize({ width: this.container.clientWidth, height: 230 });
		this.show();
	}

	recolour() {
		this.plot.redraw(false);
	}
}
