// What the flame graph is weighed by: figures of the whole time, or what changed in a range of it.

export const WORDS = {
	live: ['live', 'bytes allocated here and not freed'],
	allocated: ['allocated', 'bytes allocated here'],
	freed: ['freed', 'bytes freed here, whoever allocated them'],
	count: ['count', 'allocations made here'],
	pinned: ['pinned', 'free bytes that live blocks from here keep from going back'],
	peak: ['peak', 'bytes live from here when the whole was highest'],
	temporary: ['temporary', 'bytes freed at once by the thread that allocated them'],
	retained: ['retained', 'an estimate: what the heap retains, by who freed most'],
	python: ['Python objects', 'bytes of small Python objects born here and live, which malloc never sees'],
};

const BY_TIME = { live: 'grown', allocated: 'allocated', freed: 'freed', count: 'count' };

export class Weights {
	constructor(data, tree) {
		this.names = data.page.weights;
		this.nodes = data.nodes; // of figures of the whole time, by the same index
		this.figures = data.weights;
		this.steps = data.steps;
		this.tree = tree;
		this.name = this.first(data.report);
		this.range = null; // steps [first, end)
		this.made = new Map();
	}

	// Of what has ended little lives: what lived at the peak tells more.
	first(report) {
		const names = report.ended?.startsWith('the target') ? ['peak', ...this.names] : this.names;

		return names.find((name) => this.figures[name] && this.sum(name) > 0) ?? this.names[0];
	}

	sum(name) {
		return this.figures[name].reduce((sum, v) => sum + v, 0);
	}

	isCount() {
		return this.name === 'count';
	}

	isByTime(name) {
		return name in BY_TIME;
	}

	word(name) {
		return this.range && name in BY_TIME ? BY_TIME[name] : WORDS[name]?.[0] ?? name;
	}

	selfOf(name, range) {
		const sum = new Float64Array(this.tree.cnt);

		const add = (nodes, figures) => {
			for (let i = 0; i < nodes.length; i++)
				sum[nodes[i]] += figures[i];
		};

		if (!range || !(name in BY_TIME))
			add(this.nodes, this.figures[name]);
		else
			for (const step of this.steps.slice(range[0], range[1]))
				add(step.nodes, step[name]);
		return sum;
	}

	// What the graph shows now: by node itself, and with all below.
	current() {
		const range = this.isByTime(this.name) ? this.range : null, key = `${this.name} ${range}`;

		if (!this.made.has(key)) {
			const self = this.selfOf(this.name, range);

			if (this.made.size > 8)
				this.made.clear();
			this.made.set(key, { self, total: this.tree.totals(self) });
		}
		return this.made.get(key);
	}
}
