// Tables of what was found: a tab each.
import { bytes, clock, count, el, frameText, seconds, share } from './words.js';

const ROWS_FIRST = 50;
const SITES_MOST = 1000;

// "innermost ← … ← outermost" of a finding's stack, whose frames are texts, outermost first.
function callers(stack) {
	const frames = [...(stack ?? [])].reverse();

	if (!frames.length)
		return el('span.quiet', 'not known');
	return chain(frames);
}

// The first ones, or the innermost and the line of a script that led there.
function headOf(frames) {
	const script = frames.findIndex((frame) => /\.py:\d+\)$/.test(frame));

	if (script > 2)
		return [frames[0], '…', frames[script], ...script < frames.length - 1 ? ['…'] : []];
	return [...frames.slice(0, 3), ...frames.length > 3 ? ['…'] : []];
}

function chain(frames) {
	const head = headOf(frames).join(' ← ');

	if (frames.length < 2)
		return el('span.stack', head);
	const whole = el('details.stack', el('summary', head), el('ol', ...frames.map((frame) => el('li', frame))));

	return whole;
}

function badge(text, kind) {
	return el(`span.badge.${kind}`, text);
}

const number = (name, get, show = bytes) => ({ name, get, show, number: true });
const text = (name, get, show = (v) => v ?? '–') => ({ name, get, show });

function purgeVerdict(p) {
	if (p.misdirected)
		return badge('misdirected', 'bad');
	return p.effective ? badge('effective', 'good') : badge('no effect', 'poor');
}

function purges({ report, page }) {
	return {
		name: 'Purges', rows: report.purges.map((p, i) => ({ ...p, pid: page.purge_pids[i] })),
		columns: [
			text('time', (p) => p.time, clock), ...page.purge_pids.length ? [number('pid', (p) => p.pid, String)] : [],
			text('purge', (p) => p.function + (p.argument ? ` ${p.argument}` : '')),
			number('took', (p) => p.duration_ns, (ns) => seconds(ns / 1e9)), number('returned', (p) => p.returned),
			number('predicted', (p) => p.predicted), text('', purgeVerdict, (v) => v), text('by', (p) => p.stack, callers),
		],
		time: (p) => [p.time, p.time + p.duration_ns / 1e9],
		note: report.purges_total > report.purges.length ? `the newest ${report.purges.length} of ${report.purges_total}` : '',
		empty: 'Nobody has called a purge.',
	};
}

function windowEnd(w) {
	if (!w.end)
		return badge('open', 'bad');
	return w.closed_by_purge ? badge('closed by a purge', 'good')
		: w.closed_by_allocator ? badge('returned by the allocator itself', 'good') : badge('over', 'poor');
}

function windows({ report, page }) {
	return {
		name: 'Missing-purge windows', rows: report.windows.map((w, i) => ({ ...w, pid: page.window_pids[i] })),
		columns: [
			text('from', (w) => w.start, clock), text('to', (w) => w.end, (v) => v ? clock(v) : '…'),
			...page.window_pids.length ? [number('pid', (w) => w.pid, String)] : [],
			number('for', (w) => (w.end ?? report.time) - w.start, seconds), number('peak retained', (w) => w.peak_retained),
			number('a purge would have returned', (w) => w.peak_purgeable),
			number('purges that did not help', (w) => w.ineffective_purges, count), text('', windowEnd, (v) => v),
			text('freed most', (w) => w.freed[0], (f) => f ? el('span', `${bytes(f.bytes)} `, callers(f.stack)) : '–'),
		],
		time: (w) => [w.start, w.end ?? report.time],
		empty: 'At no time was much freed memory kept without a purge that works.',
	};
}

function churn({ report }) {
	return {
		name: 'dlopen churn', rows: report.dlopen, sort: 1,
		columns: [
			text('library', (c) => c.library, (path) => el('span.path', path)), number('opens', (c) => c.opens, count), number('repeats', (c) => c.repeats, count),
			number('new mappings', (c) => c.new_mappings, count), number('failed', (c) => c.failures, count),
			number('closes', (c) => c.closes, count), number('took', (c) => c.ns, (ns) => seconds(ns / 1e9)),
			number('maps', (c) => c.maps_grown), number('heap', (c) => c.heap_grown),
			text('', (c) => c.flagged, (v) => v ? badge('again and again', 'bad') : ''), text('by', (c) => c.stack, callers),
		],
		empty: 'No library was opened.',
	};
}

function marks({ report, page }) {
	return {
		name: 'Marks', rows: report.marks ?? page.marks,
		note: (report.mark_kinds ?? []).map((kind) => kind.words && `${kind.kind}: ${kind.words}`).filter(Boolean).join('\n'),
		columns: [
			text('time', (m) => m.time, clock), text('kind', (m) => m.kind), text('text', (m) => m.text),
			number('RSS', (m) => m.rss), number('live', (m) => m.live ?? m.live_heap), number('retained', (m) => m.retained),
			number('purgeable', (m) => m.purgeable),
		],
		time: (m) => [m.time, m.time],
	};
}

function processes({ page }) {
	return {
		name: 'Processes', rows: page.processes, sort: 2,
		columns: [
			number('pid', (p) => p.pid, String), text('command', (p) => p.command), number('RSS', (p) => p.rss),
			number('live', (p) => p.live), number('retained', (p) => p.retained), number('purgeable', (p) => p.purgeable),
			text('', (p) => p.ended, (v) => v ?? ''),
		],
	};
}

function allocators({ report }) {
	return {
		name: 'Allocators', rows: report.allocators ?? [],
		columns: [
			text('allocator', (a) => [a.name, a.version].filter(Boolean).join(' ')),
			text('', (a) => a.serving, (v) => v ? badge('serves', 'good') : ''),
			number('held', (a) => a.held), number('resident', (a) => a.resident), number('live', (a) => a.live_heap),
			number('retained', (a) => a.retained), number('purgeable', (a) => a.purgeable), number('pinned', (a) => a.pinned),
		],
	};
}

// A figure, and how far it may be off.
function estimate(words, value, errors, i) {
	const half = errors?.[i];

	if (!errors || half === 0)
		return words;
	return el('span', words, el('span.quiet', half === null || !value ? ' ±?' : ` ±${share(half, value)}`));
}

// Stacks with what each weighs by all weights; a row leads to its place in the flame graph.
function sites(data, tree, name, by) {
	const weights = data.page.weights, first = weights.indexOf(by);
	const figures = data.weights[by], most = [...figures.keys()].filter((i) => figures[i] > 0)
		.sort((a, b) => figures[b] - figures[a]);
	const frames = (node) => tree.path(node).reverse().map((n) => frameText(tree.frameOf(n)));

	return {
		name, sort: first, rows: most.slice(0, SITES_MOST),
		columns: [
			...weights.map((w) => number(w, (i) => data.weights[w][i], (v, i) => estimate(w === 'count' ? count(v) : bytes(v), v, data.errors[w], i))),
			text('by', (i) => data.nodes[i], (node) => chain(frames(node))),
		],
		node: (i) => data.nodes[i],
		note: most.length > SITES_MOST ? `the ${SITES_MOST} with most ${by}, of ${count(most.length)}` : '',
		empty: 'Nothing is known of who allocated: without allocation events, or nothing was.',
	};
}

// Those that say something; made when they are looked at.
function tabsOf(data, tree, weight) {
	const { report, page } = data, has = (name) => page.weights.includes(name);

	return [
		['Top sites', () => sites(data, tree, 'Top sites', weight), report.allocs],
		['Python objects', () => sites(data, tree, 'Python objects', 'python'), report.allocs && has('python')],
		['Pins', () => sites(data, tree, 'Pins', 'pinned'), report.allocs && has('pinned')],
		['Purges', () => purges(data), true, report.purges.length],
		['Windows', () => windows(data), true, report.windows.length],
		['dlopen', () => churn(data), true, report.dlopen.length],
		['Marks', () => marks(data), page.marks.length, page.marks.length],
		['Processes', () => processes(data), page.processes.length, page.processes.length],
		['Allocators', () => allocators(data), report.allocators?.length],
	].filter(([, , there]) => there);
}

export class Tables {
	constructor(tabs, panel, data, tree, { weight, onTime, onNode }) {
		this.panel = panel;
		this.on = { onTime, onNode };
		this.made = new Map();
		this.tabs = tabsOf(data, tree, weight).map(([name, make, , cnt]) => {
			const tab = el('button.tab', name, cnt !== undefined ? el('span.cnt', count(cnt)) : null);

			tab.setAttribute('role', 'tab');
			tab.addEventListener('click', () => this.open(tab));
			tab.addEventListener('keydown', (event) => this.key(event, tab));
			tabs.append(tab);
			return Object.assign(tab, { make });
		});
		this.open(this.tabs[0]);
	}

	key(event, tab) {
		const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		const to = by && this.tabs[(this.tabs.indexOf(tab) + by + this.tabs.length) % this.tabs.length];

		if (to) {
			this.open(to);
			to.focus();
			event.preventDefault();
		}
	}

	open(tab) {
		for (const other of this.tabs) {
			other.setAttribute('aria-selected', String(other === tab));
			other.tabIndex = other === tab ? 0 : -1;
		}
		if (!this.made.has(tab))
			this.made.set(tab, tab.make());
		this.show(this.made.get(tab), ROWS_FIRST);
	}

	sorted(table) {
		const { sort, columns, rows } = table, { get } = columns[sort ?? 0], back = table.up ? 1 : -1;
		const order = (a, b) => a === b ? 0 : (a ?? -Infinity) < (b ?? -Infinity) ? -1 : 1;

		return sort === undefined ? rows : [...rows].sort((a, b) => back * order(get(a), get(b)));
	}

	show(table, most) {
		const rows = this.sorted(table);

		if (!rows.length) {
			this.panel.replaceChildren(el('p.quiet', table.empty ?? 'Nothing.'));
			return;
		}
		this.panel.replaceChildren(
			el('table', el('thead', el('tr', ...table.columns.map((column, i) => this.head(table, column, i)))),
				el('tbody', ...rows.slice(0, most).map((row) => this.row(table, row)))),
			rows.length > most ? this.more(table, rows.length, most) : '', table.note ? el('p.quiet', table.note) : '');
	}

	more(table, all, most) {
		const more = el('button', `all ${count(all)} rows`);

		more.addEventListener('click', () => this.show(table, Infinity));
		return more;
	}

	head(table, column, i) {
		const button = el('button.sort', column.name), cell = el(column.number ? 'th.number' : 'th', button);

		if (table.sort === i)
			cell.setAttribute('aria-sort', table.up ? 'ascending' : 'descending');
		button.addEventListener('click', () => {
			table.up = table.sort === i ? !table.up : false;
			table.sort = i;
			this.show(table, ROWS_FIRST);
			this.panel.querySelectorAll('button.sort')[i].focus();
		});
		return cell;
	}

	row(table, row) {
		const cells = table.columns.map(({ get, show, number: right }) =>
			el(right ? `td.number${get(row) ? '' : '.zero'}` : 'td', show(get(row), row)));
		const line = el('tr', ...cells);

		if (table.time)
			this.lead(line, 'show that time', () => this.on.onTime(...table.time(row)));
		if (table.node)
			this.lead(line, 'show it in the flame graph', () => this.on.onNode(table.node(row)));
		return line;
	}

	lead(line, title, go) {
		line.classList.add('leads');
		line.title = title;
		line.tabIndex = 0;
		line.addEventListener('click', (event) => {
			if (!event.target.closest('details'))
				go();
		});
		line.addEventListener('keydown', (event) => {
			if (event.key === 'Enter' && event.target === line)
				go();
		});
	}
}

