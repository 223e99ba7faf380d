// What is said first: who this is, the verdict, and how its memory divides.
import { bytes, clock, count, day, el, seconds, share } from './words.js';

export function fillHead(data) {
	const { report, page } = data, title = document.getElementById('title');
	const name = report.pid ? `${report.command} (${report.pid})` : report.command;

	title.textContent = name;
	document.title = `${name} – alloctrace`;
	document.getElementById('when').textContent =
		`${day(report.started)}  ${clock(report.started)} – ${clock(report.time)}, ` +
		`${seconds(report.time - report.started)}${report.ended ? `, ${report.ended}` : ''}`;
	document.getElementById('footer').prepend(`alloctrace ${page.version} · `);
}

// How much of the process the figures of sites are from, where that is not all.
function sampling({ seen, cost }) {
	return seen ? `Figures of sites are estimates: ${seen}${cost ? `; ${cost}` : ''}.` : '';
}

// The verdict: what it concludes, worst first; where nothing is concluded, what the heap says of itself.
function conclusions(report, seen) {
	const lines = (report.verdict ?? []).map(({ severity, sentence, advice }, i) =>
		el(`div.conclusion.${/^[a-z]+$/.test(severity) ? severity : 'note'}`, el('span.badge', severity),
			el(i ? 'p' : 'p.sentence', sentence), advice ? el('p.advice', `→ ${advice}`) : ''));
	const facts = [...lines.length ? [] : [report.sentence, report.layer_sentence], seen];

	return [...lines, ...facts.filter(Boolean).map((text) => el(text === report.sentence ? 'p.sentence' : 'p', text))];
}

function tile(name, value, title, colour) {
	const box = el('div.tile', el('div.name', name), el('div.value', value));

	if (colour)
		box.style.setProperty('--colour', `var(${colour})`);
	box.classList.toggle('coloured', !!colour);
	box.title = title;
	return box;
}

function tiles(report) {
	const { allocs, cgroup } = report;

	return el('div.tiles',
		tile('RSS', bytes(report.rss), 'what the kernel says that it occupies', '--rss'),
		tile('live', bytes(report.live_heap ?? allocs?.live), 'allocated and not freed', '--live'),
		tile('retained', bytes(report.retained), 'freed by the program, still resident', '--retained'),
		tile('purgeable', bytes(report.purgeable), 'of it: what a purge would return now', '--purgeable'),
		tile('pinned', bytes(report.pinned), 'of it: what no purge returns', '--pinned'),
		allocs ? tile('peak of live', allocs.peak.time ? bytes(allocs.peak.bytes) : '–',
			allocs.peak.time ? `at ${clock(allocs.peak.time)}` : '') : null,
		allocs ? tile('allocated', bytes(allocs.allocated), `${count(allocs.allocs)} allocations`) : null,
		tile('returned', bytes(sum(report.returned)), 'to the kernel, in whatever way'),
		cgroup?.limit ? tile('limit', bytes(cgroup.limit), 'of its cgroup', '--limit') : null);
}

function sum(returned) {
	const parts = [returned.purge, returned.trim, returned.munmap, returned.madvise];

	return parts.some((v) => v === null) ? null : parts.reduce((a, b) => a + b, 0);
}

// RSS, as far as it is known what it is made of.
function division(report) {
	const { rss, live_heap: live, purgeable, pinned } = report;
	const parts = [['live', live, '--live'], ['purgeable', purgeable, '--purgeable'], ['pinned', pinned, '--pinned']]
		.filter(([, v]) => v);
	const known = parts.reduce((all, [, v]) => all + v, 0), whole = Math.max(rss, known);

	if (!known)
		return null;
	if (whole > known)
		parts.push(['other', whole - known, '--other']);
	const bar = el('div.division', ...parts.map(([name, v, colour]) => {
		const part = el('div', v / whole > 0.09 ? `${name} ${share(v, whole)}` : '');

		part.style.flexGrow = v / whole;
		part.style.background = `var(${colour})`;
		part.title = `${name}: ${bytes(v)}, ${share(v, whole)}`;
		return part;
	}));

	bar.setAttribute('role', 'img');
	bar.setAttribute('aria-label', parts.map(([name, v]) => `${name} ${share(v, whole)}`).join(', '));
	return bar;
}

export function fillVerdict(data) {
	const { report } = data;
	const unseen = [...report.missing, ...Object.entries(report.lost).map(([name, n]) => `${count(n)} lost: ${name}`),
		...(data.page.incomplete ? ['the history is not complete: there was no memory for it'] : [])];

	document.getElementById('verdict').append(...conclusions(report, sampling(data.page)), division(report) ?? '', tiles(report),
		unseen.length ? el('details.unseen', el('summary', `${unseen.length} thing${unseen.length > 1 ? 's' : ''} not seen`),
			el('ul', ...unseen.map((text) => el('li', text)))) : '');
}
