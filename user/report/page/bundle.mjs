// Makes one page of the sources and of npm's packages: node bundle.mjs SOURCES FOLDER, with FOLDER/node_modules.
// Its script is the only one that the page lets run, by its hash: whatever a report's texts contain.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [sources, folder] = process.argv.slice(2).map((path) => resolve(path));
const esbuild = createRequire(join(folder, 'package.json'))('esbuild');

// Identifiers stay: d3-flame-graph asks for a class by its name.
const options = {
	bundle: true, write: false, minifyWhitespace: true, minifySyntax: true, charset: 'utf8',
	target: 'chrome100', nodePaths: [join(folder, 'node_modules')], legalComments: 'none',
};

function bundle(name) {
	const { outputFiles, warnings } = esbuild.buildSync({
		...options, entryPoints: [join(sources, name)], outdir: join(folder, 'out'),
	});

	if (warnings.length)
		throw new Error(warnings[0].text);
	return outputFiles.find((file) => file.path.endsWith(name.endsWith('.css') ? '.css' : '.js')).text;
}

// Of all that is in the bundle: what the lock file knows, but for what only builds it.
function packages() {
	const { packages: locked } = JSON.parse(readFileSync(join(folder, 'package-lock.json')));

	return Object.keys(locked).filter((path) => path && !locked[path].dev)
		.map((path) => ({ path: join(folder, path), name: path.replace('node_modules/', ''), ...locked[path] }));
}

function names() {
	return packages().filter(({ name }) => ['d3-flame-graph', 'uplot'].includes(name))
		.map(({ name, version, license }) => `${name} ${version} (${license})`).join(', ');
}

// Their licences want to go where they go.
function licences() {
	return packages().map(({ name, version, path }) => {
		const file = readdirSync(path).find((entry) => /^licen[cs]e/i.test(entry));

		if (!file || !existsSync(join(path, file)))
			throw new Error(`no licence in ${path}`);
		return `${name} ${version}\n\n${readFileSync(join(path, file), 'utf8').trim()}`;
	}).join('\n\n\n').replaceAll('--', '- -').replaceAll('>', '&gt;');
}

const script = bundle('main.js').replaceAll('</script', '<\\/script');
const hash = createHash('sha256').update(script).digest('base64');
const page = readFileSync(join(sources, 'page.html'), 'utf8')
	.replace('@HASH@', () => hash)
	.replace('@NAMES@', () => names())
	.replace('@LICENCES@', () => licences())
	.replace('@STYLE@', () => bundle('page.css'))
	.replace('@SCRIPT@', () => script);

writeFileSync(join(folder, 'page.html'), page);
