// Figures in words, as the text report has them, and elements that hold texts: never markup, for texts are the target's.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

export function bytes(value) {
	let unit = 0, v = Math.abs(value ?? 0);

	if (value === null || value === undefined)
		return '–';
	while (v >= 1023.5 && unit < UNITS.length - 1) {
		v /= 1024;
		unit++;
	}
	return (value < 0 ? '−' : '') + (unit ? v.toPrecision(v >= 99.95 ? Math.max(3, String(Math.floor(v)).length) : 3)
		: String(Math.round(v))) + ' ' + UNITS[unit];
}

export function count(value) {
	return value === null || value === undefined ? '–' : Math.round(value).toLocaleString('en-US');
}

export function share(part, whole) {
	const percent = whole > 0 ? 100 * part / whole : 0;

	return (percent >= 9.95 ? percent.toFixed(0) : percent >= 0.095 ? percent.toFixed(1) : percent > 0 ? '<0.1' : '0') +
		' %';
}

export function seconds(s) {
	if (s === null || s === undefined)
		return '–';
	if (s < 1e-3)
		return `${(s * 1e6).toPrecision(3)} µs`;
	if (s < 1)
		return `${(s * 1e3).toPrecision(3)} ms`;
	if (s < 120)
		return `${s < 10 ? s.toFixed(1) : s.toFixed(0)} s`;
	if (s < 7200)
		return `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, '0')} s`;
	return `${Math.floor(s / 3600)} h ${String(Math.round(s % 3600 / 60)).padStart(2, '0')} min`;
}

export function clock(epoch) {
	return new Date(epoch * 1000).toTimeString().slice(0, 8);
}

export function day(epoch) {
	const d = new Date(epoch * 1000);

	return [d.getFullYear(), d.getMonth() + 1, d.getDate()].map((n) => String(n).padStart(2, '0')).join('-');
}

export function baseName(path) {
	return path.slice(path.lastIndexOf('/') + 1) || path;
}

export function place(frame) {
	return frame.file ? baseName(frame.file) + (frame.line ? `:${frame.line}` : '') : '';
}

export function frameText(frame) {
	const where = place(frame);

	return frame.name + (where ? ` (${where})` : '');
}

// An element: el('td.number', 'text', child, …).
export function el(kind, ...children) {
	const [tag, ...classes] = kind.split('.'), element = document.createElement(tag);

	if (classes.length)
		element.className = classes.join(' ');
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}
