// The tree of stacks: sums over it, and the part of it that can be seen.
import { frameText } from './words.js';

export class Tree {
	constructor({ cnt, parent, frame }, frames) {
		this.cnt = cnt;
		this.parent = parent;
		this.frame = frame;
		this.frames = frames;
		this.first = new Uint32Array(cnt); // 0: no child
		this.next = new Uint32Array(cnt);
		for (let i = cnt - 1; i > 0; i--) {
			this.next[i] = this.first[parent[i]];
			this.first[parent[i]] = i;
		}
	}

	frameOf(node) {
		return node ? this.frames[this.frame[node]] : { name: 'all', module: null, file: null, line: 0 };
	}

	// Each node with all below it: what is negative (a site that shrank) has no width.
	totals(self) {
		const total = new Float64Array(this.cnt);

		for (let i = this.cnt - 1; i >= 0; i--) {
			total[i] += self[i] > 0 ? self[i] : 0;
			if (i)
				total[this.parent[i]] += total[i];
		}
		return total;
	}

	// Callers of a node, outermost first, itself last; without the root.
	path(node) {
		const path = [];

		for (; node; node = this.parent[node])
			path.unshift(node);
		return path;
	}

	childrenFrom(node, total, least) {
		const children = [];

		for (let child = this.first[node]; child; child = this.next[child])
			if (total[child] >= least && total[child] > 0)
				children.push(child);
		return children;
	}

	countFrom(node, total, least, most) {
		const waiting = [node];
		let cnt = 0;

		while (waiting.length && cnt <= most) {
			cnt++;
			waiting.push(...this.childrenFrom(waiting.pop(), total, least));
		}
		return cnt;
	}

	// As d3-flame-graph wants it: below node all that is as wide as a pixel, of that at most so many frames.
	visible(node, total, width, most) {
		let least = 0.8 * total[node] / width;

		while (this.countFrom(node, total, least, most) > most)
			least *= 1.4;
		return this.nested(node, total, least);
	}

	nested(node, total, least) {
		const children = this.childrenFrom(node, total, least).sort((a, b) => total[b] - total[a]);

		return {
			node, value: total[node], name: frameText(this.frameOf(node)),
			children: children.map((child) => this.nested(child, total, least)),
		};
	}

	// Frames whose text has it: 1 by frame's number; null: nothing is searched.
	search(text) {
		const wanted = text.trim().toLowerCase();

		if (!wanted)
			return null;
		return Uint8Array.from(this.frames, (f) =>
			`${f.module ?? ''}:${f.name} (${f.file ?? ''}:${f.line})`.toLowerCase().includes(wanted));
	}

	// What lies in those frames or below, each stack once.
	found(frames, total) {
		const inside = new Uint8Array(this.cnt);
		let sum = 0;

		for (let i = 1; i < this.cnt; i++) {
			const above = inside[this.parent[i]], here = frames[this.frame[i]];

			inside[i] = above | here;
			if (here && !above)
				sum += total[i];
		}
		return sum;
	}
}
