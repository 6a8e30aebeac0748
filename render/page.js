'use strict';
(() => {
	const $ = (sel, at = document) => at.querySelector(sel);
	const $$ = (sel, at = document) => [...at.querySelectorAll(sel)];
	const make = (tag, cls, text) => {
		const e = document.createElement(tag);
		if (cls) e.className = cls;
		if (text !== undefined) e.textContent = text;
		return e;
	};
	const many = (n, one) => n.toLocaleString('en') + ' ' + one + (n === 1 ? '' : 's');

	// A link to a range of lines marks all of it.
	document.addEventListener('click', e => {
		const a = e.target.closest('a[data-last]');
		if (!a) return;
		$$('.raw li.t').forEach(l => l.classList.remove('t'));
		const first = +a.hash.slice(2), last = Math.min(+a.dataset.last, first + 500);
		for (let n = first; n <= last; n++) document.getElementById('L' + n)?.classList.add('t');
	});
	$$('svg.wait g[data-line]').forEach(g => g.addEventListener('click', () => {
		if (document.getElementById('L' + g.dataset.line)) location.hash = 'L' + g.dataset.line;
	}));

	// What all wait for stands at the right: where not all of it fits, begin there.
	$$('.picture-box:not(.flame-box)').forEach(box => { box.scrollLeft = box.scrollWidth; });

	// Flame graphs: enlarge a part, by mouse or by keyboard.
	const flames = $$('svg.flame').filter(svg => $('g[data-n]', svg)).map(svg => {
		const width = svg.viewBox.baseVal.width, perChar = 6.7;
		const boxes = $$('g[data-n]', svg).map(g => ({
			g, rect: $('rect', g), text: g.nextElementSibling?.tagName === 'text' ? g.nextElementSibling : null, name: $('title', g).textContent,
			depth: +g.dataset.d, at: +g.dataset.at, n: +g.dataset.n,
		}));
		boxes.forEach((b, i) => {
			b.label = b.name.slice(0, b.name.lastIndexOf(': '));
			b.index = i;
			b.kids = [];
			for (let j = i - 1; j >= 0 && b.depth > 0; j--) if (boxes[j].depth < b.depth) { b.up = boxes[j]; b.up.kids.push(b); break; }
			b.g.setAttribute('role', 'treeitem');
			b.g.setAttribute('aria-level', b.depth + 1);
			b.g.setAttribute('aria-label', b.name);
			b.g.setAttribute('tabindex', i ? -1 : 0);
		});
		svg.setAttribute('role', 'tree');
		let root = boxes[0], here = boxes[0];
		const draw = () => {
			const k = width / root.n;
			for (const b of boxes) {
				const above = b.depth < root.depth && b.at <= root.at && b.at + b.n >= root.at + root.n;
				const inside = b.depth >= root.depth && b.at >= root.at && b.at + b.n <= root.at + root.n;
				b.g.style.display = above || inside ? '' : 'none';
				if (b.text) b.text.style.display = b.g.style.display;
				if (!above && !inside) continue;
				const x = above ? 0 : (b.at - root.at) * k, w = above ? width : b.n * k;
				b.rect.setAttribute('x', x);
				b.rect.setAttribute('width', w);
				b.g.style.opacity = above ? .55 : '';
				const fit = Math.floor((w - 6) / perChar);
				if (!b.text && fit >= 3) {
					b.text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
					b.text.setAttribute('aria-hidden', 'true');
					b.text.setAttribute('y', +b.rect.getAttribute('y') + 13);
					b.g.after(b.text);
				}
				if (b.text) {
					b.text.setAttribute('x', x + 3);
					b.text.textContent = fit < 3 ? '' : b.label.length <= fit ? b.label : b.label.slice(0, fit - 1) + '…';
				}
			}
		};
		const focus = b => {
			here.g.setAttribute('tabindex', -1);
			here = b;
			b.g.setAttribute('tabindex', 0);
			b.g.focus({preventScroll: true});
			b.g.scrollIntoView({block: 'nearest', inline: 'nearest'});
		};
		const of = t => boxes.find(b => b.g === t.closest('g[data-n]'));
		svg.addEventListener('click', e => {
			const b = of(e.target);
			if (b) { root = b; draw(); focus(b); }
		});
		svg.addEventListener('keydown', e => {
			const kids = here.up ? here.up.kids : [here], i = kids.indexOf(here);
			const to = {ArrowDown: here.kids[0], ArrowUp: here.up, ArrowLeft: kids[i - 1], ArrowRight: kids[i + 1], Home: boxes[0]}[e.key];
			if (to) { if (to.g.style.display !== 'none') focus(to); }
			else if (e.key === 'Enter' || e.key === ' ') { root = here; draw(); }
			else if (e.key === 'Escape') { root = boxes[0]; draw(); }
			else if (!e.key.startsWith('Arrow')) return;
			e.preventDefault();
		});
		return q => boxes.forEach(b => b.g.classList.toggle('dim', q !== '' && !b.label.toLowerCase().includes(q)));
	});
	$$('.script').forEach(e => { e.hidden = false; });

	// The table of tasks.
	if (!$('#data')) return;
	const data = JSON.parse($('#data').textContent);
	const str = data.str, n = data.pid.length;
	const first = new Float64Array(n), last = new Float64Array(n);
	for (let i = 0, at = 0; i < n; i++) { at += data.first[i]; first[i] = at; last[i] = at + data.lines[i]; }
	const lower = str.map(s => s.toLowerCase());
	const quiet = /^(__schedule|schedule|io_schedule$|__switch_to|preempt_schedule|__cond_resched)/;
	const leafOf = data.stacks.map(s => s.find(f => !quiet.test(str[f])) ?? 0); // string 0 is empty
	const leaf = leafOf.map(f => str[f]);
	const state = i => data.state[i] ? String.fromCharCode(data.state[i]) : '';
	const kept = l => {
		let a = 0, b = data.kept.length;
		while (a < b) { const m = (a + b) >> 1; if (data.kept[m][1] < l) a = m + 1; else b = m; }
		return a < data.kept.length && data.kept[a][0] <= l;
	};
	const collator = new Intl.Collator('en', {numeric: true});
	const order = new Int32Array(str.length);
	[...str.keys()].sort((a, b) => collator.compare(str[a], str[b])).forEach((s, i) => { order[s] = i; });

	const columns = [
		{name: 'Name', width: '24%', key: i => order[data.comm[i]]},
		{name: 'PID', width: '9%', num: true, key: i => data.pid[i]},
		{name: 'Parent', width: '8%', num: true, key: i => data.parent[i]},
		{name: 'State', width: '7%', key: i => data.state[i]},
		{name: 'Waits for', width: '18%', key: i => order[data.wait[i]]},
		{name: 'Sleeps in', width: '24%', key: i => order[leafOf[data.stack[i]]]},
		{name: 'Line', width: '10%', num: true, key: i => first[i]},
	];
	if (data.dump) columns.splice(6, 0, {name: 'Dump', width: '7%', num: true, key: i => data.dump[i]});
	const grid = $('#grid'), table = $('#rows'), body = $('tbody', table), head = $('thead tr', table);
	const q = $('#q'), stateBox = $('#state'), waitBox = $('#wait'), fold = $('#fold'), count = $('#count');
	const ROW = 30;
	let sort = null, down = false;
	let kinds = [], refs = [], marks = []; // the rows: 0 a group, 1 a task, 2 a frame
	let groups = [];
	const open = new Set(); // of groups "g…" and tasks
	let current = 0, printing = false;

	const choose = (box, values) => values.forEach(([value, c]) => {
		const o = make('option', '', value + ' (' + c.toLocaleString('en') + ')');
		o.value = value;
		box.append(o);
	});
	const tally = of => {
		const m = new Map();
		for (let i = 0; i < n; i++) { const v = of(i); if (v) m.set(v, (m.get(v) || 0) + 1); }
		return [...m].sort((a, b) => b[1] - a[1]);
	};
	choose(stateBox, tally(state));
	choose(waitBox, tally(i => str[data.wait[i]]));

	const matching = () => {
		const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
		const hits = words.map(w => {
			const s = lower.map(t => t.includes(w));
			return {w, s, stacks: data.stacks.map(st => st.some(f => s[f]))};
		});
		const list = [];
		for (let i = 0; i < n; i++) {
			if (stateBox.value && state(i) !== stateBox.value) continue;
			if (waitBox.value && str[data.wait[i]] !== waitBox.value) continue;
			if (hits.every(h => h.s[data.comm[i]] || h.s[data.wait[i]] || h.s[data.work[i]] || h.stacks[data.stack[i]] || String(data.pid[i]) === h.w)) list.push(i);
		}
		return list;
	};
	const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;

	// build makes the list of rows from what is asked for and what is open.
	const build = () => {
		const tasks = matching();
		if (sort) {
			const keys = new Map(tasks.map(i => [i, sort.key(i)]));
			tasks.sort((a, b) => (down ? -1 : 1) * compare(keys.get(a), keys.get(b)) || a - b);
		}
		kinds = []; refs = []; marks = [];
		const frames = s => data.stacks[s].forEach((f, j) => { kinds.push(2); refs.push(f); marks.push(j); });
		if (fold.checked) {
			const by = new Map();
			for (const i of tasks) {
				const k = data.stack[i] * 256 + data.state[i];
				let g = by.get(k);
				if (!g) by.set(k, g = {k, tasks: []});
				g.tasks.push(i);
			}
			groups = [...by.values()];
			// Where nothing else is asked for: blocked tasks first, then the largest.
			if (!sort) groups.sort((a, b) => (state(b.tasks[0]) === 'D') - (state(a.tasks[0]) === 'D') || b.tasks.length - a.tasks.length);
			groups.forEach((g, gi) => {
				kinds.push(0); refs.push(gi); marks.push(0);
				if (!open.has('g' + g.k)) return;
				frames(data.stack[g.tasks[0]]);
				for (const i of g.tasks) { kinds.push(1); refs.push(i); marks.push(1); }
			});
		} else {
			for (const i of tasks) {
				kinds.push(1); refs.push(i); marks.push(0);
				if (open.has(i)) frames(data.stack[i]);
			}
		}
		const text = many(tasks.length, 'task') + (tasks.length < n ? ' of ' + n.toLocaleString('en') : '') +
			(fold.checked ? ' with ' + many(groups.length, 'different stack') : '');
		if (count.textContent !== text) count.textContent = text;
		table.setAttribute('aria-rowcount', kinds.length + 1);
		grid.style.height = 'min(70vh, 720px, ' + (Math.max(kinds.length, 1) * ROW + 52) + 'px)';
		current = Math.min(current, Math.max(kinds.length - 1, 0));
		draw();
	};

	const td = (tr, text, cls) => { const e = make('td', cls, text); if (text) e.title = text; tr.append(e); return e; };
	const line = (tr, i) => {
		const e = make('td', 'n');
		if (kept(first[i])) {
			const a = make('a', '', String(first[i]));
			a.href = '#L' + first[i];
			a.dataset.last = last[i];
			e.append(a);
		} else e.textContent = first[i];
		tr.append(e);
	};
	const twig = (tr, row, text, isOpen) => {
		const th = make('th'), b = make('button', 'twig', text);
		th.scope = 'row';
		b.type = 'button';
		b.title = text;
		b.dataset.row = row;
		b.setAttribute('aria-expanded', isOpen);
		th.append(b);
		tr.append(th);
	};
	const rest = (tr, i) => {
		td(tr, state(i), 'st');
		td(tr, str[data.wait[i]]);
		td(tr, leaf[data.stack[i]], 'c');
		if (data.dump) td(tr, String(data.dump[i] || ''), 'n');
		line(tr, i);
		if (state(i) === 'D') tr.classList.add('blocked');
	};
	const rowOf = row => {
		const tr = make('tr'), ref = refs[row];
		tr.setAttribute('aria-rowindex', row + 2);
		if (kinds[row] === 2) {
			tr.className = 'frame';
			const e = td(tr, (marks[row] === 0 ? 'in ' : 'from ') + str[ref]);
			e.colSpan = columns.length;
		} else if (kinds[row] === 0) {
			const g = groups[ref], i = g.tasks[0], names = new Map();
			for (const t of g.tasks.slice(0, 2000)) {
				const name = str[data.comm[t]].replace(/^kworker\/.*/, 'kworker') || '?';
				names.set(name, (names.get(name) || 0) + 1);
			}
			const who = [...names].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, c]) => c > 1 ? c + ' × ' + name : name).join(', ');
			tr.className = 'many';
			if (g.tasks.length === 1) twig(tr, row, str[data.comm[i]] || '?', open.has('g' + g.k));
			else twig(tr, row, many(g.tasks.length, 'task') + ': ' + who + (names.size > 3 ? ', …' : ''), open.has('g' + g.k));
			td(tr, g.tasks.length === 1 ? String(data.pid[i]) : '', 'n');
			td(tr, '', 'n');
			rest(tr, i);
		} else {
			const name = (str[data.comm[ref]] || '?') + (data.kind[ref] === 1 ? ' (hung-task report)' : '') + (data.unsure[ref] ? ' (unsure)' : '');
			if (marks[row]) {
				tr.className = 'leaf';
				const th = make('th', '', name);
				th.scope = 'row';
				tr.append(th);
			} else twig(tr, row, name, open.has(ref));
			td(tr, data.pid[ref] < 0 ? '?' : String(data.pid[ref]), 'n');
			td(tr, data.parent[ref] > 0 ? String(data.parent[ref]) : '', 'n');
			rest(tr, ref);
		}
		return tr;
	};
	const pad = h => {
		const tr = make('tr', 'pad'), e = make('td');
		tr.setAttribute('aria-hidden', 'true');
		e.colSpan = columns.length;
		e.style.height = tr.style.height = h + 'px';
		tr.append(e);
		return tr;
	};
	// draw puts the rows in sight, and a few more, into the table.
	let drawn = '';
	const draw = () => {
		const had = body.contains(document.activeElement) && document.activeElement.dataset.row !== undefined;
		const all = printing ? Math.min(kinds.length, 300) : kinds.length;
		const from = printing ? 0 : Math.max(0, Math.floor(grid.scrollTop / ROW) - 8);
		const to = printing ? all : Math.min(all, Math.ceil((grid.scrollTop + grid.clientHeight) / ROW) + 8);
		const rows = [];
		if (from > 0) rows.push(pad(from * ROW));
		for (let r = from; r < to; r++) rows.push(rowOf(r));
		if (to < all) rows.push(pad((all - to) * ROW));
		if (!kinds.length) {
			const tr = make('tr');
			td(tr, 'No task is like that.').colSpan = columns.length;
			rows.push(tr);
		}
		body.replaceChildren(...rows);
		drawn = from + '-' + to;
		if (had) $('[data-row="' + current + '"]', body)?.focus({preventScroll: true});
	};
	let asked = false;
	grid.addEventListener('scroll', () => {
		if (asked) return;
		asked = true;
		requestAnimationFrame(() => { asked = false; if (!printing) draw(); });
	}, {passive: true});
	new ResizeObserver(() => { if (!printing) draw(); }).observe(grid);

	const toggle = row => {
		const key = kinds[row] === 0 ? 'g' + groups[refs[row]].k : refs[row];
		if (!open.delete(key)) open.add(key);
		current = row;
		build();
	};
	body.addEventListener('click', e => {
		const b = e.target.closest('.twig');
		if (b) toggle(+b.dataset.row);
	});
	body.addEventListener('focusin', e => { if (e.target.dataset.row !== undefined) current = +e.target.dataset.row; });
	body.addEventListener('keydown', e => {
		const b = e.target.closest('.twig');
		if (!b) return;
		const isOpen = b.getAttribute('aria-expanded') === 'true';
		let to = -1, step = {ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15}[e.key];
		const can = r => kinds[r] === 0 || kinds[r] === 1 && !marks[r];
		if (step) {
			const way = Math.sign(step);
			to = Math.max(0, Math.min(kinds.length - 1, current + step));
			while (to >= 0 && to < kinds.length && !can(to)) to += way;
		} else if (e.key === 'Home') to = 0;
		else if (e.key === 'End') { to = kinds.length - 1; while (to > 0 && !can(to)) to--; }
		else if (e.key === 'ArrowRight' && !isOpen || e.key === 'ArrowLeft' && isOpen) { e.preventDefault(); toggle(current); return; }
		else return;
		e.preventDefault();
		if (to < 0 || to >= kinds.length) return;
		current = to;
		const top = to * ROW, room = grid.clientHeight - 2 * ROW;
		if (top < grid.scrollTop) grid.scrollTop = top;
		else if (top > grid.scrollTop + room) grid.scrollTop = top - room;
		draw();
		$('[data-row="' + current + '"]', body)?.focus({preventScroll: true});
	});

	columns.forEach(c => {
		const th = make('th', c.num ? 'n' : ''), b = make('button', '', c.name);
		th.scope = 'col';
		th.style.width = c.width;
		b.type = 'button';
		b.addEventListener('click', () => {
			if (sort !== c) { sort = c; down = false; }
			else if (!down) down = true;
			else sort = null;
			$$('th', head).forEach(h => h.removeAttribute('aria-sort'));
			if (sort) th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
			current = 0;
			grid.scrollTop = 0;
			build();
		});
		th.append(b);
		head.append(th);
	});
	let timer = 0;
	const again = () => { current = 0; grid.scrollTop = 0; build(); flames.forEach(f => f(q.value.trim().toLowerCase())); };
	q.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(again, 120); });
	q.addEventListener('keydown', e => { if (e.key === 'Escape' && q.value) { q.value = ''; again(); e.preventDefault(); } });
	[stateBox, waitBox, fold].forEach(b => b.addEventListener('change', again));
	document.addEventListener('keydown', e => {
		if (e.key === '/' && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) { e.preventDefault(); q.focus(); }
	});
	addEventListener('beforeprint', () => { printing = true; draw(); });
	addEventListener('afterprint', () => { printing = false; draw(); });

	$('#plain').hidden = true;
	$('#browser').hidden = false;
	table.setAttribute('aria-label', 'Tasks');
	build();
	document.documentElement.dataset.ready = '1';
})();
