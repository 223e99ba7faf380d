// Light or dark: as the system has it, until somebody chooses.

const KEY = 'alloctrace-theme';

// A page from a file may have no storage.
function stored() {
	try {
		return localStorage.getItem(KEY);
	} catch {
		return null;
	}
}

function store(theme) {
	try {
		localStorage.setItem(KEY, theme);
	} catch {
		// It holds until the page is closed.
	}
}

export function startTheme(changed) {
	const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)');
	const set = (theme) => {
		root.dataset.theme = theme;
		changed();
	};

	set(stored() ?? (dark.matches ? 'dark' : 'light'));
	dark.addEventListener('change', () => {
		if (!stored())
			set(dark.matches ? 'dark' : 'light');
	});
	document.getElementById('theme-button').addEventListener('click', () => {
		const theme = root.dataset.theme === 'dark' ? 'light' : 'dark';

		store(theme);
		set(theme);
	});
}
