// What the flame graph is weighed by: figures of the whole time, or what changed in a range of it.

export const WORDS = {
	live: ['live', 'bytes allocated here and not freed'],
	allocated: ['allocated', 'bytes allocated here'],
	freed: ['freed', 'bytes freed here, whoever allocated them'],
	count: ['count', 'allocations made here'],
	pinned: ['pinned', 'free bytes that live blocks from here keep from going back'],
	peak: ['peak', 'bytes live from here when the whole was highest'],
	temporary: ['temporary', 'bytes freed at once by the thread that allocated them'],
	retained: ['retained', 'bytes freed here and still resident'],
};

const BY_TIME = { live: 'grown', allocated: 'allocated', freed: 'freed', count: 'count' };

export class Weights {
	constructor(data, tree) {
		this.names = data.page.weights;
		this.self = data.weights;
		this.steps = data.steps;
		this.tree = tree;
		this.name = this.first(data.report);
		this.range = null; // steps [first, end)
		this.made = new Map();
	}

	// Of what has ended little lives: what lived at the peak tells more.
	first(report) {
		const names = report.ended?.startsWith('the target') ? ['peak', ...this.names] : this.names;

		return names.find((name) => this.self[name] && this.sum(name) > 0) ?? this.names[0];
	}

	sum(name) {
		return this.self[name].reduce((sum, v) => sum + v, 0);
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

		if (!range || !(name in BY_TIME))
			return this.self[name];
		for (const step of this.steps.slice(range[0], range[1]))
			for (let i = 0; i < step.nodes.length; i++)
				sum[step.nodes[i]] += step[name][i];
		return sum;
	}

	// What the graph shows now: by node itself, and with all below.
	current() {
		const range = this.isByTime(this.name) ? this.range : null, key = `${this.name} ${range}`;

		if (!this.made.has(key)) {
			const self = this.selfOf(this.name, range);

			if (this.made.size > 20)
				this.made.clear();
			this.made.set(key, { self, total: this.tree.totals(self) });
		}
		return this.made.get(key);
	}
}
