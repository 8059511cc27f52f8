"use strict";
// Shows the documents that the page carries; dump/SCHEMA.md describes them. Of
// what there is to show only the lines in view are elements of the page.

const ROW = 22; // height of a line in pixels
const captures = [...document.querySelectorAll("script.capture")].map(s => JSON.parse(s.textContent));
const judged = [...document.querySelectorAll("script.series")].map(s => JSON.parse(s.textContent));
const $ = id => document.getElementById(id);
const main = $("main"), rows = $("rows"), sizer = $("sizer"), plots = $("plots");

const state = {
	capture: captures.length - 1, base: captures.length > 1 ? 0 : -1,
	query: "", zeros: false, changes: false,
	open: new Map(), // what the user opened or closed: key of a line to bool
	target: "",
};
let lines = []; // what there is to show, from top to bottom

// Values.

const isObject = v => v !== null && typeof v === "object" && !Array.isArray(v);
const special = v => isObject(v) && ["$int", "$char", "$float", "$string", "$enum", "$ptr", "$bytes", "$cpus", "$locked", "$callback", "$linked", "$count", "$omitted", "$error"].some(k => k in v);
const composite = v => Array.isArray(v) || isObject(v) && !special(v);
const label = name => name.startsWith("$$") ? name.slice(1) : name;

function number(v) { // NaN if v is none
	if (typeof v === "number") return v;
	if (typeof v === "boolean") return v ? 1 : 0;
	if (isObject(v) && "$int" in v) return Number(v.$int);
	if (isObject(v) && "$enum" in v) return number(v.$value);
	if (isObject(v) && "$count" in v) return v.$count;
	return NaN;
}

function isZero(v) {
	if (v === 0 || v === false || v === "" || v === null) return true;
	if (typeof v !== "object") return false;
	if (Array.isArray(v)) return v.every(isZero);
	if ("$ptr" in v) return v.$ptr === "0x0";
	if ("$enum" in v) return v.$value === 0;
	if ("$char" in v) return v.$char === 0;
	if ("$bytes" in v) return /^0*$/.test(v.$bytes);
	if ("$cpus" in v) return v.$cpus === "";
	if ("$callback" in v && v.$callback !== "0x0") return false;
	if (["$locked", "$linked", "$count", "$callback"].some(k => k in v)) return Object.keys(v).every(k => k === "$callback" || isZero(v[k]));
	if (special(v)) return false;
	return Object.values(v).every(isZero);
}

function hexText(hex) {
	let s = "";
	for (let i = 0; i + 1 < hex.length; i += 2) {
		const c = parseInt(hex.slice(i, i + 2), 16);
		s += c >= 32 && c < 127 ? String.fromCharCode(c) : "\\x" + hex.slice(i, i + 2);
	}
	return s;
}

// text is a value that is no composite, as people read it.
function text(v) {
	if (v === null) return "-";
	if (typeof v === "string") return JSON.stringify(v);
	if (typeof v !== "object") return String(v);
	if ("$int" in v) return v.$int;
	if ("$char" in v) return v.$char >= 32 && v.$char < 127 ? "'" + String.fromCharCode(v.$char) + "'" : String(v.$char);
	if ("$float" in v) return v.$float;
	if ("$string" in v) return '"' + hexText(v.$string) + '"';
	if ("$enum" in v) return v.$enum === null ? text(v.$value) : v.$enum;
	if ("$ptr" in v) return v.$ptr === "0x0" ? "NULL" : v.$ptr + (v.$function ? " → " + v.$function : "");
	if ("$bytes" in v) return "0x" + v.$bytes;
	if ("$cpus" in v) return "CPUs " + (v.$cpus || "none");
	if ("$locked" in v) return v.$locked ? "locked" : "unlocked";
	if ("$callback" in v) return v.$callback === "0x0" ? "not set" : "set: " + v.$callback;
	if ("$linked" in v) return v.$linked ? "linked" : "not linked";
	if ("$count" in v) return String(v.$count);
	if ("$error" in v) return v.$error;
	return "...";
}

function style(v) {
	if (typeof v === "string" || isObject(v) && "$string" in v) return "string";
	if (isObject(v) && "$enum" in v) return "enum";
	if (isObject(v) && "$ptr" in v) return "ptr";
	if (isObject(v) && "$error" in v) return "bad";
	return isZero(v) ? "dim" : "";
}

// brief is a value in one line of about room characters.
function brief(v, room) {
	if (!composite(v)) return text(v);
	if (Array.isArray(v)) return briefList(v, room);
	let s = "{", n = 0;
	for (const k in v) {
		if (!state.zeros && isZero(v[k])) continue;
		s += (n++ ? ", " : "") + label(k) + ": " + brief(v[k], room - s.length);
		if (s.length > room) return s.slice(0, room) + "…";
	}
	return s + (n || !Object.keys(v).length ? "}" : "0}");
}

const RUN = 4; // from how many equal elements on only one is written

function briefList(v, room) {
	let s = "[";
	for (let i = 0, n; i < v.length; i += n) {
		for (n = 1; i + n < v.length && same(v[i], v[i + n]);) n++;
		const repeated = n >= RUN;
		if (!repeated) n = 1;
		s += (i ? ", " : "") + brief(v[i], room - s.length) + (repeated ? " ×" + n : "");
		if (s.length > room) return s.slice(0, room) + "…";
	}
	return s + "]";
}

// words is all that a search finds in a value, in lower case.
function words(v, out) {
	if (composite(v)) {
		for (const k in v) {
			if (!Array.isArray(v)) out.push(label(k));
			words(v[k], out);
		}
		return;
	}
	out.push(typeof v === "string" ? v : text(v));
	if (isObject(v)) {
		if (v.$at) out.push(v.$at);
		if (v.$to) words(v.$to, out);
		if (v.$enum) out.push(text(v.$value));
	}
}

const haystacks = new WeakMap();
function haystack(entry) {
	let h = haystacks.get(entry);
	if (h === undefined) {
		const out = [];
		if (entry.key !== undefined) words(entry.key, out);
		if (entry.owner) words(entry.owner, out);
		words(entry.cpus || entry.value, out);
		haystacks.set(entry, h = out.join(" ").toLowerCase());
	}
	return h;
}

// Comparing captures.

const same = (a, b) => a === b || typeof a === "object" && typeof b === "object" && JSON.stringify(a) === JSON.stringify(b);
const content = e => e.cpus || e.value;

function identity(entry, i) {
	if (entry.key !== undefined) return "k" + JSON.stringify(entry.key);
	if (entry.owner) return "o" + (entry.owner.pid || entry.owner.addr);
	return "i" + i;
}

const indices = new WeakMap();
function index(map) { // entries of a map by identity
	let x = indices.get(map);
	if (!x) {
		x = new Map();
		(map.entries || []).forEach((e, i) => x.set(identity(e, i), e));
		indices.set(map, x);
	}
	return x;
}

const baseMap = map => state.base < 0 || state.base === state.capture ? null
	: captures[state.base].maps.find(m => m.name === map.name && m.type === map.type) || { entries: [] };

// Lines. Each has a key that names it, a depth, and what it shows.

const entryName = (map, e, i) => e.owner
	? (e.owner.pid !== undefined ? e.owner.pid + " " + (e.owner.comm || "") : e.owner.addr)
	: e.key !== undefined ? brief(e.key, 60) : String(i);
const isSection = map => (map.value_type || "").startsWith(".") && !map.cpus;
const isOpen = (key, usual) => state.open.has(key) ? state.open.get(key) : usual;
const omit = v => v !== undefined && !state.zeros && isZero(v);

function build() {
	lines = [];
	const query = state.query.toLowerCase();
	let found = 0, shown = 0;
	for (const map of captures[state.capture].maps) {
		const base = baseMap(map), was = base && index(base);
		const title = { key: "m" + map.id, depth: 0, map, kind: "title" };
		const at = lines.length;
		lines.push(title);
		const open = isOpen(title.key, true);
		const nameHit = query && map.name.toLowerCase().includes(query);
		let hits = 0, zero = 0;
		const seen = new Set();
		(map.entries || []).forEach((e, i) => {
			if (e.$omitted) return;
			const id = was ? identity(e, i) : "", old = was ? was.get(id) : undefined;
			if (was) seen.add(id);
			const differs = was && !same(content(e), old && content(old));
			if (state.changes && was && !differs) return;
			if (query && !nameHit && !haystack(e).includes(query)) return;
			if (e.key === undefined && !e.owner && !isSection(map) && omit(content(e)) && !(old && !isZero(content(old)))) { zero++; return; }
			hits++;
			if (open) addEntry(map, e, i, old, was, query);
		});
		if (was && open) for (const [id, e] of was) {
			if (seen.has(id) || query && !nameHit && !haystack(e).includes(query)) continue;
			hits++;
			lines.push({ key: title.key + "-" + id, depth: 1, kind: "entry", name: "[" + entryName(map, e, 0) + "]", value: content(e), mark: "removed", leaf: true, map });
		}
		found += hits;
		title.hits = hits;
		title.open = open;
		if (open && zero) lines.push({ key: title.key + "z", depth: 1, kind: "note", name: "", note: zero + (zero === 1 ? " entry is" : " entries are") + " zero" });
		if ((query || state.changes) && !hits && !nameHit) lines.length = at;
		else shown++;
	}
	$("count").textContent = query || state.changes && state.base >= 0 ? found + (found === 1 ? " entry" : " entries") + " in " + shown + (shown === 1 ? " map" : " maps") : "";
	for (const b of document.querySelectorAll(".map")) b.classList.toggle("empty", !lines.some(l => l.kind === "title" && l.map.id === +b.dataset.id));
	sizer.style.height = lines.length * ROW + "px";
	draw(true);
}

function addEntry(map, e, i, old, was, query) {
	const key = "m" + map.id + "e" + i;
	const was2 = was ? { v: old && content(old) } : null;
	if (map.cpus) return addCPUs(map, e, i, key, was2, query);
	if (isSection(map)) return addParts(key, 1, e.value, was2, query);
	addValue(key, 1, "[" + entryName(map, e, i) + "]", e.value, was2, query, "entry");
}

// addCPUs adds a line for each member, with a column for each CPU.
function addCPUs(map, e, i, key, was, query) {
	const open = isOpen(key, map.entries.length <= 16 || !!query);
	const mark = was && was.v === undefined ? "added" : "";
	lines.push({ key, depth: 1, kind: "entry", name: "[" + entryName(map, e, i) + "]", open, mark, note: open ? "" : brief(e.cpus, 160) });
	if (!open) return;
	const parts = new Map();
	e.cpus.forEach((v, cpu) => flatten(v, "", (name, leaf) => {
		if (!parts.has(name)) parts.set(name, e.cpus.map(() => null));
		parts.get(name)[cpu] = leaf;
	}));
	const old = new Map();
	if (was && was.v) was.v.forEach((v, cpu) => flatten(v, "", (name, leaf) => old.set(name + "@" + cpu, leaf)));
	const before = (name, cpu) => old.has(name + "@" + cpu) ? old.get(name + "@" + cpu) : null;
	const differs = (name, cells) => cells.some((c, cpu) => !same(c, before(name, cpu)));
	const wanted = [...parts].filter(([name, cells]) => was && differs(name, cells) || !(was && state.changes) && (state.zeros || !cells.every(isZero)));
	const width = Math.max(7, ...wanted.map(([, cells]) => Math.max(...cells.map(c => Math.min(40, text(c).length)))));
	const left = Math.max(4, ...wanted.map(([name]) => name.length));
	lines.push({ key: key + "h", depth: 2, kind: "cells", name: "", left, width, cells: e.cpus.map((_, cpu) => "cpu " + cpu), head: true });
	for (const [name, cells] of wanted) {
		lines.push({
			key: key + "." + name, depth: 2, kind: "cells", name, left, width, cells,
			old: was ? cells.map((_, cpu) => before(name, cpu)) : null, path: [map, e, i, name],
		});
	}
}

function flatten(v, name, f) {
	if (!composite(v)) return f(name || "value", v);
	for (const k in v) flatten(v[k], Array.isArray(v) ? name + "[" + k + "]" : name ? name + "." + label(k) : label(k), f);
}

const MANY = 64; // elements of an array that are shown at first

function addParts(key, depth, v, was, query) {
	const list = Array.isArray(v);
	const names = Object.keys(v);
	let n = 0;
	for (const k of names) {
		const old = was ? { v: was.v === undefined || was.v === null ? undefined : was.v[k] } : null;
		if (omit(v[k]) && !(old && old.v !== undefined && !isZero(old.v))) continue;
		if (state.changes && old && same(v[k], old.v)) continue;
		if (list && ++n > MANY && !isOpen(key + "+", false)) {
			lines.push({ key: key + "+", depth, kind: "note", name: "", note: names.length + " elements, show all", more: true });
			return;
		}
		addValue(key + "." + k, depth, list ? "[" + k + "]" : label(k), v[k], old, query, "part");
	}
}

function addValue(key, depth, name, v, was, query, kind) {
	const to = isObject(v) && v.$to;
	const differs = was && !same(v, was.v);
	const mark = !differs ? "" : was.v === undefined ? "added" : composite(v) || to ? "" : "changed";
	const leaf = !composite(v) && !to;
	const usual = depth > 1 && depth < 4 && (!composite(v) || brief(v, 120).length > 100) && depth < 3 || !!(differs && was.v !== undefined && state.changes);
	const open = !leaf && isOpen(key, usual);
	lines.push({ key, depth, kind, name, value: v, open, leaf, mark, differs, old: was && was.v });
	if (!open) return;
	addParts(key, depth + 1, to || v, was ? { v: to ? was.v && was.v.$to : was.v } : null, query);
}

// Drawing the lines in view.

let drawn = "";
function draw(force) {
	const first = Math.max(0, Math.floor(main.scrollTop / ROW) - 10);
	const last = Math.min(lines.length, first + Math.ceil(main.clientHeight / ROW) + 20);
	const window = first + ":" + last;
	if (!force && window === drawn) return;
	drawn = window;
	rows.style.top = first * ROW + "px";
	rows.replaceChildren(...lines.slice(first, last).map((l, i) => element(l, first + i)));
}

function span(parent, className, content) {
	const s = document.createElement("span");
	if (className) s.className = className;
	marked(s, content);
	parent.append(s);
	return s;
}

// marked puts text into an element, with what was searched for marked.
function marked(s, content) {
	content = String(content);
	const query = state.query.toLowerCase(), lower = content.toLowerCase();
	let at = 0;
	for (let hit; query && (hit = lower.indexOf(query, at)) >= 0; at = hit + query.length) {
		s.append(content.slice(at, hit));
		const m = document.createElement("mark");
		m.textContent = content.slice(hit, hit + query.length);
		s.append(m);
	}
	s.append(content.slice(at));
}

function element(l, i) {
	const row = document.createElement("div");
	row.className = "row " + l.kind + (l.mark ? " " + l.mark : "") + (l.key === state.target ? " target" : "");
	row.style.paddingLeft = 8 + 18 * l.depth + "px";
	row.dataset.key = l.key;
	const twist = span(row, "twist", l.leaf || l.kind === "cells" || l.kind === "note" ? "" : l.open ? "▾" : "▸");
	twist.dataset.line = i;
	if (l.kind === "title") return title(row, l, i);
	if (l.kind === "cells") return cells(row, l);
	const name = span(row, "name" + (l.kind === "entry" ? " entry" : ""), l.name);
	if (!l.leaf) name.dataset.line = i;
	if (l.note !== undefined) {
		const note = span(row, l.more ? "" : "dim", l.more ? "" : l.note);
		if (l.more) { const a = document.createElement("a"); a.textContent = l.note; a.dataset.line = i; note.append(a); }
		return row;
	}
	if (l.mark === "changed") span(row, "was", brief(l.old, 80));
	value(row, l);
	if (captures.length > 1 && l.leaf && !Number.isNaN(number(l.value))) plotLink(row, l);
	return row;
}

function value(row, l) {
	const v = l.value;
	if (composite(v)) {
		if (!l.open) span(row, "dim", brief(v, 200));
		if (l.differs && !l.open && l.mark !== "added") row.classList.add("changed");
		return;
	}
	span(row, style(v), text(v).slice(0, 4000));
	if (!isObject(v) || !("$ptr" in v)) return;
	if (v.$cast) span(row, "dim", " (" + v.$cast + ")");
	if (v.$at && !captures[state.capture].maps.some(m => m.id === v.$map)) span(row, "dim", " → " + v.$at);
	else if (v.$at) {
		span(row, "dim", " → ");
		const a = document.createElement("a");
		marked(a, v.$at);
		a.dataset.map = v.$map;
		a.dataset.entry = v.$entry;
		row.append(a);
	}
	if (v.$cycle) span(row, "dim", " (cycle)");
	if (v.$why) span(row, "dim", " (" + v.$why + ")");
	if (v.$to) span(row, "dim", " → " + (l.open ? "" : brief(v.$to, 160)));
}

function title(row, l, i) {
	const name = span(row, "", l.map.name);
	name.dataset.line = i;
	const m = l.map, about = [m.type];
	if (m.value_type && !isSection(m)) about.push(m.value_type + (m.key_type && m.entries && m.entries[0] && m.entries[0].key !== undefined ? " by " + m.key_type : ""));
	if (!isSection(m) && m.type !== "ARENA") about.push(m.held + (m.held === 1 ? " entry" : " entries"));
	if (m.extents) about.push(m.extents.reduce((n, x) => n + x.bytes, 0) + " bytes captured");
	if (m.untyped) about.push(m.untyped + " of " + m.value_size + " bytes without a type, behind the variables");
	span(row, "about", about.join(" · "));
	if (m.status !== "complete") span(row, "about bad", m.status + (m.reason ? ": " + m.reason : ""));
	else if (m.error) span(row, "about bad", m.error);
	return row;
}

function cells(row, l) {
	const name = span(row, "name", l.name);
	name.style.width = l.left + "ch";
	l.cells.forEach((c, cpu) => {
		const changed = l.old && !same(c, l.old[cpu]);
		const cell = span(row, "cell " + (l.head ? "head" : style(c)) + (changed ? " changed" : ""), l.head ? c : text(c));
		cell.style.width = l.width + 3 + "ch";
		if (!l.head) cell.title = (changed && l.old[cpu] !== null ? text(l.old[cpu]) + " → " : "") + text(c);
	});
	if (captures.length > 1 && !l.head && l.cells.some(c => !Number.isNaN(number(c)))) plotLink(row, l);
	return row;
}

// Plots.

// Captures are placed by when they were taken, and by their number if that does
// not tell them apart.
const times = captures.map(c => (Date.parse(c.taken) - Date.parse(captures[0].taken)) / 1000);
const timed = times.every((t, i) => i === 0 ? t === 0 : t > times[i - 1]);
const seconds = timed ? times : captures.map((_, i) => i + 1);

// The end of the scheduler: the first capture that knows why it ends, and when that
// was by the clock of what was judged.
const ends = c => c.scheduler && c.scheduler.reason ? c.scheduler.state === "disabled" ? "ended" : "about to end" : "";
const endOf = captures.findIndex(ends);
const endTitle = endOf < 0 ? "" : schedulerText(captures[endOf].scheduler);
const judgedEnd = $("end") ? JSON.parse($("end").textContent) : null;

// endMark is a plugin of uPlot that draws a line there, and keeps it in view.
function endMark(at) {
	const mark = document.createElement("div");
	mark.className = "end";
	mark.textContent = "end";
	mark.title = endTitle;
	return { hooks: {
		init: u => u.over.append(mark),
		draw: u => {
			const x = u.valToPos(at, "x"), width = u.over.clientWidth;
			mark.style.left = x + "px";
			mark.classList.toggle("left", x > width / 2);
			mark.hidden = x < 0 || x > width + 1;
		},
	} };
}

function plotLink(row, l) {
	const a = document.createElement("a");
	a.className = "plotlink";
	a.textContent = "plot";
	a.dataset.plot = l.key;
	row.append(a);
}

// follow reads the value of a line in another capture.
function read(capture, key) {
	const [, id, entry, rest] = /^m(\d+)e(\d+)((?:.|\n)*)$/.exec(key) || [];
	const here = captures[state.capture].maps.find(m => m.id === +id);
	if (!here) return [];
	const there = capture.maps.find(m => m.name === here.name && m.type === here.type);
	if (!there) return [];
	const e = index(there).get(identity(here.entries[+entry], +entry));
	if (!e) return [];
	const steps = rest.slice(1);
	if (!here.cpus) return [["", steps.split(".").filter(s => s !== "").reduce((v, k) => v === undefined || v === null ? undefined : (isObject(v) && v.$to ? v.$to : v)[k], e.value)]];
	return e.cpus.map((v, cpu) => {
		let leaf;
		flatten(v, "", (name, x) => { if (name === steps) leaf = x; });
		return ["cpu " + cpu, leaf];
	});
}

function plotKey(key) {
	const perCapture = captures.map(c => read(c, key));
	const widest = perCapture.reduce((a, b) => b.length > a.length ? b : a, []);
	return widest.map(([name], i) => ({ name, values: perCapture.map(p => { const n = p[i] ? number(p[i][1]) : NaN; return Number.isNaN(n) ? null : n; }) }));
}

const colors = ["#0969da", "#cf222e", "#1a7f37", "#8250df", "#bf8700", "#1b7c83", "#bc4c00", "#6e7781"];

function addPlot(name, series) {
	const xLabel = timed ? "seconds" : "capture";
	drawPlot(plotBox(name), xLabel, seconds, series.map((s, i) => ({ label: s.name || "value", stroke: colors[i % colors.length], width: 2, points: { show: true, size: 6 }, values: s.values })), endOf < 0 ? null : seconds[endOf]);
}

// addJudged plots a series that was judged, with what is wrong marked.
function addJudged(p) {
	const box = plotBox(p.title);
	box.classList.add("judged");
	const lines = [];
	p.lines.forEach((l, i) => {
		lines.push({ label: l.name || "value", stroke: colors[2 * i % colors.length], width: 2, points: { show: p.x.length < 200, size: 6 }, values: l.values });
		if (l.marked) lines.push({ label: "violation", stroke: colors[1], width: 0, points: { show: true, size: 12, fill: colors[1] }, values: l.marked });
	});
	drawPlot(box, "seconds", p.x, lines, judgedEnd);
	const text = document.createElement("pre");
	text.textContent = p.text;
	box.append(text);
}

function plotBox(name) {
	const box = document.createElement("div");
	box.className = "plot";
	const h = document.createElement("h2");
	h.textContent = name;
	box.append(h);
	plots.append(box);
	return box;
}

// drawPlot draws lines, and the end of the scheduler unless end is null.
function drawPlot(box, xLabel, x, lines, end) {
	const dim = getComputedStyle(document.body).getPropertyValue("--dim"), line = getComputedStyle(document.body).getPropertyValue("--line");
	const axis = { stroke: dim, grid: { stroke: line }, ticks: { stroke: line } };
	const big = n => Math.abs(n) >= 1e6 ? n.toExponential(2).replace("e+", "e") : String(n);
	new uPlot({
		width: Math.max(380, box.clientWidth - 16), height: 190,
		scales: { x: { time: false, ...(end === null ? {} : { range: (_, min, max) => [Math.min(min, end), Math.max(max, end)] }) } },
		plugins: end === null ? [] : [endMark(end)],
		axes: [{ ...axis, label: xLabel, labelSize: 18, size: 34 }, { ...axis, size: 74, values: (_, ticks) => ticks.map(big) }],
		series: [{ label: xLabel }, ...lines.map(({ values, ...l }) => l)],
		legend: { show: true },
	}, [x, ...lines.map(l => l.values)], box);
}

function openPlots() {
	plots.replaceChildren();
	plots.classList.add("open");
	$("showplots").setAttribute("aria-pressed", "true");
}

// showPlots plots the numbers that change: the variables of sections first.
function showPlots(only) {
	openPlots();
	if (only) { addPlot(nameOf(only), plotKey(only)); return; }
	judged.forEach(addJudged);
	const note = document.createElement("p");
	plots.append(note);
	let n = 0, all = 0;
	const consider = (key, name) => {
		const series = plotKey(key).filter(s => s.values.some(v => v !== null));
		if (!series.some(s => s.values.some((v, _, a) => v !== null && v !== a.find(x => x !== null)))) return;
		all++;
		if (n < 24) { n++; addPlot(name, series); }
	};
	for (const map of captures[state.capture].maps) {
		(map.entries || []).slice(0, isSection(map) || map.cpus ? 4 : 0).forEach((e, i) => {
			const names = new Map();
			if (map.cpus) e.cpus.forEach(v => v && flatten(v, "", (name, leaf) => { if (!Number.isNaN(number(leaf))) names.set(name, 1); }));
			else for (const k in e.value) if (!Number.isNaN(number(e.value[k]))) names.set(k, 1);
			for (const name of names.keys()) consider("m" + map.id + "e" + i + "." + name, map.name + (map.cpus ? "[" + i + "]" : "") + "." + name);
		});
	}
	note.textContent = !all ? "No number of a global variable or a per-CPU map changes between the captures. Point at a value in the list for its plot."
		: n < all ? n + " of " + all + " numbers that change; point at any value in the list for its plot" : "numbers that change between the captures; point at any other value in the list for its plot";
}

function nameOf(key) {
	const [, id, entry, rest] = /^m(\d+)e(\d+)((?:.|\n)*)$/.exec(key);
	const map = captures[state.capture].maps.find(m => m.id === +id);
	return map.name + (isSection(map) ? "" : "[" + entryName(map, map.entries[+entry], +entry) + "]") + rest;
}

function hidePlots() {
	plots.classList.remove("open");
	plots.replaceChildren();
	$("showplots").setAttribute("aria-pressed", "false");
}

// What the user does.

function toggle(i) {
	const l = lines[i];
	state.open.set(l.key, l.more ? true : !l.open);
	build();
}

function go(map, entry) {
	state.query = $("search").value = "";
	state.changes = false;
	$("changes").setAttribute("aria-pressed", "false");
	state.open.set("m" + map, true);
	state.open.set("m" + map + "e" + entry, true);
	state.target = "m" + map + "e" + entry;
	build();
	const at = lines.findIndex(l => l.key.startsWith(state.target));
	if (at >= 0) main.scrollTop = Math.max(0, (at - 4) * ROW);
	draw(true);
}

main.addEventListener("click", e => {
	const d = e.target.closest("[data-line], [data-map], [data-plot]");
	if (!d) return;
	if (d.dataset.plot !== undefined) showPlots(d.dataset.plot);
	else if (d.dataset.map !== undefined) go(+d.dataset.map, +d.dataset.entry);
	else toggle(+d.dataset.line);
});
main.addEventListener("scroll", () => draw(false));
addEventListener("resize", () => draw(true));

$("search").addEventListener("input", () => { state.query = $("search").value.trim(); hidePlots(); main.scrollTop = 0; build(); });
addEventListener("keydown", e => {
	if (e.key === "/" && document.activeElement !== $("search")) { e.preventDefault(); $("search").focus(); }
	if (e.key === "Escape") { hidePlots(); $("search").value = state.query = ""; build(); }
});

function button(id, f) {
	$(id).addEventListener("click", () => {
		const on = $(id).getAttribute("aria-pressed") !== "true";
		if ($(id).hasAttribute("aria-pressed")) $(id).setAttribute("aria-pressed", on);
		f(on);
	});
}
button("zeros", on => { state.zeros = on; build(); });
button("changes", on => { state.changes = on; build(); });
button("collapse", () => { state.open.clear(); for (const m of captures[state.capture].maps) state.open.set("m" + m.id, false); main.scrollTop = 0; build(); });
button("showplots", on => on ? showPlots() : hidePlots());

const ms = ns => (ns / 1e6).toFixed(2) + " ms";

// schedulerText is runtime.Scheduler.String.
function schedulerText(s) {
	if (s.state === "disabled" && !s.name && !s.reason) return "no scheduler";
	const why = [s.reason, s.message].map(w => (w || "").trim()).filter(w => w);
	const ending = s.reason && s.state !== "disabled" ? ", about to end" : "";
	return ["scheduler " + (s.name ? JSON.stringify(s.name) + " " : "") + s.state + ending, ...why].join(": ");
}

// What the kernel keeps of scheduling: a lane for each CPU, with what it runs and its
// local queue, and one for each other queue.
const LANE = 24; // tasks of a queue that are shown

function addLane(box, name, about) {
	const lane = document.createElement("div");
	lane.className = "lane";
	span(lane, "of", name).title = about || name;
	box.append(lane);
	return lane;
}

function addTasks(lane, pids, sched, starving) {
	for (const pid of pids.slice(0, LANE)) addTask(lane, sched.byPid.get(pid) || {pid, comm: "?"}, starving.has(pid) ? "task starves" : "task");
	if (pids.length > LANE) span(lane, "dim", (pids.length - LANE) + " more");
}

function addTask(lane, t, className) {
	span(lane, className, t.comm + "[" + t.pid + "]").title = t.class === undefined ? "" :
		"class " + t.class + (t.waits_ns ? ", waits for " + ms(t.waits_ns) : "") + ", slice " + text(t.slice_ns) + " ns, vtime " + text(t.vtime) +
		", weight " + text(t.weight) + ", may run on CPUs " + t.allowed + (t.cgroup ? ", cgroup " + t.cgroup : "");
}

function drawLanes(s) {
	const box = $("lanes").lastElementChild;
	box.replaceChildren();
	$("lanes").hidden = !s || !s.cpus;
	if ($("lanes").hidden) return;
	s.byPid = new Map(s.tasks.map(t => [t.pid, t]));
	const starving = new Set(s.starving.map(v => v.pid)), locals = new Map();
	for (const v of s.starving.slice(0, 3)) {
		const p = document.createElement("p");
		p.textContent = v.text;
		box.append(p);
	}
	$("lanes").open = $("lanes").open || starving.size > 0;
	const queued = new Set(s.queues.flatMap(q => q.pids));
	for (const q of s.queues) if (q.cpu !== null && q.name.startsWith("local ")) locals.set(q.cpu, q);
	for (const c of s.cpus) {
		const lane = addLane(box, "CPU " + c.id + (c.online ? c.idle ? " (idle)" : "" : " (offline)"), c.does);
		if (c.online && !c.idle && c.pid !== null) addTask(lane, s.byPid.get(c.pid) || c, "task runs");
		addTasks(lane, locals.has(c.id) ? locals.get(c.id).pids : [], s, starving);
	}
	for (const q of s.queues) if (q !== locals.get(q.cpu) && (q.user || q.pids.length)) addTasks(addLane(box, q.name), q.pids, s, starving);
	const held = s.tasks.filter(t => t.class === "ext" && t.runnable && !t.current && !queued.has(t.pid)).map(t => t.pid);
	if (held.length) addTasks(addLane(box, "in no queue", "runnable tasks that the BPF scheduler has, or nobody"), held, s, starving);
}

function choose() {
	const c = captures[state.capture];
	$("title").textContent = c.name || "snapshot";
	const g = c.guest, t = c.timing, facts = [], s = c.scheduler;
	if (s) facts.push(schedulerText(s));
	if (c.taken) facts.push(c.taken.replace("T", " ").replace(/(\.\d{3})\d*/, "$1"));
	facts.push((g.release ? "Linux " + g.release + ", " : "") + g.cpus + (g.cpus === 1 ? " CPU" : " CPUs") + (g.arch ? ", " + g.arch : ""));
	if (c.kernel_reason) facts.push("of the kernel's objects: " + c.kernel_reason);
	if (t.paused_ns) facts.push("paused " + ms(t.paused_ns) + " (stop " + ms(t.stop_ns) + ", walk " + ms(t.walk_ns) + ", copy " + ms(t.copy_ns) + ", resume " + ms(t.resume_ns) + ")");
	facts.push((t.bytes / 1024).toFixed(1) + " KiB copied");
	$("facts").textContent = facts.join("  ·  ");
	drawLanes(c.sched);
	$("maps").replaceChildren(...c.maps.map(m => {
		const b = document.createElement("button");
		b.className = "map";
		b.dataset.id = m.id;
		span(b, "", m.name);
		const s = document.createElement("small");
		s.textContent = m.type + (isSection(m) || m.extents ? "" : " · " + m.held);
		if (m.status !== "complete") { s.textContent += " · " + m.status; s.className = "bad"; }
		b.append(s);
		b.onclick = () => { hidePlots(); state.open.set("m" + m.id, true); build(); const at = lines.findIndex(l => l.key === "m" + m.id); if (at >= 0) main.scrollTop = at * ROW; };
		return b;
	}));
	build();
}

function options(select, chosen, none) {
	const all = captures.map((c, i) => new Option((i + 1) + ": " + (c.name || "snapshot") + (ends(c) ? " (" + ends(c) + ")" : ""), i));
	if (none) all.unshift(new Option("nothing", -1));
	select.replaceChildren(...all);
	select.value = chosen;
}

options($("capture"), state.capture);
options($("base"), state.base, true);
$("capture").onchange = () => { state.capture = +$("capture").value; state.open.clear(); choose(); };
$("base").onchange = () => { state.base = +$("base").value; build(); };
const hide = id => { $(id).hidden = true; $(id).style.display = "none"; };
if (captures.length < 2) ["pick", "against", "changes"].forEach(hide);
if (captures.length < 2 && !judged.length) hide("showplots");
choose();
if (judged.length) { openPlots(); judged.forEach(addJudged); }
