package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What needs programs beside Go's runs with SYSRQ_LAB=1 only, and fails there
// when it can not run. SYSRQ_SHOTS=DIR keeps pictures of the page to look at.

func needLab(t *testing.T, program string) string {
	t.Helper()
	if os.Getenv("SYSRQ_LAB") != "1" {
		t.Skipf("needs %s: run it with SYSRQ_LAB=1", program)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: type scripts/deps test", err)
	}
	return path
}

func TestGraphvizTakesOurDOT(t *testing.T) {
	dot := needLab(t, "dot")
	for name, m := range map[string]*made{"made": makeMachine(300), "nasty": nasty(), "nothing": nothing()} {
		in := m.input()
		cmd := exec.CommandContext(t.Context(), dot, "-Tsvg")
		cmd.Stdin = bytes.NewReader(written(t, "dot", in))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, stderr.Bytes())
		}
		wellFormed(t, name, out)
	}
}

// axe is the accessibility checker that the page must satisfy, by its exact
// bytes. It is fetched once, by npm, and never part of this tree (MPL-2.0).
const (
	axeVersion = "4.14.1"
	axeSum     = "e63e659f9806d7ae5bd40899043b0871a5062c5442b01b3f1a3edf5eaf50bf5c3a7104a72463293b4ad1b77c661a0d4e40e850dec89de9d6ece70a8c13a9af17"
)

func axe(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SYSRQ_LAB_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			user = os.TempDir()
		}
		dir = filepath.Join(user, "sysrq", "lab")
	}
	file := filepath.Join(dir, "axe-core-"+axeVersion+".min.js")
	good := func(b []byte) bool {
		sum := sha512.Sum512(b)
		return hex.EncodeToString(sum[:]) == axeSum
	}
	if b, err := os.ReadFile(file); err == nil && good(b) {
		return string(b)
	}
	npm := needLab(t, "npm")
	tmp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), npm, "pack", "--silent", "axe-core@"+axeVersion)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	f, err := os.Open(filepath.Join(tmp, "axe-core-"+axeVersion+".tgz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("axe.min.js is not in the package: %v", err)
		}
		if h.Name != "package/axe.min.js" {
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil || !good(b) {
			t.Fatalf("axe.min.js is not the one that is expected here (%v)", err)
		}
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, b, 0o644)); err != nil {
			t.Log(err)
		}
		return string(b)
	}
}

// tab is a page in a real browser.
type tab struct {
	*testing.T
	ctx     context.Context
	console iter.Seq2[chromedp.ConsoleMessage, error]
	asked   iter.Seq2[network.EventRequestWillBeSent, error]
}

type action = chromedp.Action[chromedp.Void]

func openTab(t *testing.T, html []byte, options ...action) *tab {
	t.Helper()
	chromium := needLab(t, "chromium")
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, html, 0o644); err != nil {
		t.Fatal(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &tab{T: t, ctx: ctx}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		return err
	}))
	p.console, p.asked = chromedp.Console(ctx), chromedp.Events(ctx, network.RequestWillBeSent)
	p.do(options...)
	p.do(chromedp.Navigate("file://"+file), chromedp.WaitReady(chromedp.CSS("main")))
	return p
}

func (p *tab) do(actions ...action) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

func (p *tab) keys(keys ...string) {
	p.Helper()
	for _, k := range keys {
		p.do(chromedp.KeyEvent(k))
	}
}

// js is an expression's value.
func (p *tab) js(expr string) any {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[any](expr, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%s: %v", expr, err)
	}
	return v
}

// want waits until an expression has a value: a page draws its rows in the next
// frame.
func (p *tab) want(expr string, want any) {
	p.Helper()
	got := p.js(fmt.Sprintf(`new Promise(ok => { const end = Date.now() + 5000, f = () => {
		let v; try { v = (%s) } catch (e) { v = e }
		if (String(v) === %q || Date.now() > end) ok(v); else setTimeout(f, 20) }; f() })`, expr, fmt.Sprint(want)))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.Errorf("%s is %v, want %v", expr, got, want)
	}
}

// press presses a key until an expression is true, three times at most: a busy
// browser loses a driven key between two frames. It is for keys that do the
// same however often they are pressed.
func (p *tab) press(key, expr string) {
	p.Helper()
	for range 3 {
		p.keys(key)
		if p.js(`new Promise(ok => { const end = Date.now() + 1500, f = () => {
			let v; try { v = (`+expr+`) } catch (e) { v = false }
			if (v || Date.now() > end) ok(!!v); else setTimeout(f, 20) }; f() })`) == true {
			return
		}
	}
	p.Errorf("%q did not lead to %s; %v has the focus", key, expr, p.js(`document.activeElement.outerHTML.slice(0, 200)`))
}

func (p *tab) eventually(expr string) {
	p.Helper()
	p.js(`new Promise((ok, no) => { const end = Date.now() + 10000, f = () => { if (` + expr + `) ok(1); else if (Date.now() > end) no(new Error('never')); else setTimeout(f, 20) }; f() })`)
}

// clean closes the page and fails if the browser had anything to say, or if
// the page wanted anything from anywhere.
func (p *tab) clean() {
	p.Helper()
	p.js(`console.debug('the end')`)
	for m, err := range p.console {
		if err != nil {
			p.Fatal(err)
		}
		if strings.Contains(m.String(), "the end") {
			break
		}
		p.Errorf("the browser says: %s", m)
	}
	if err := chromedp.Cancel(p.ctx); err != nil {
		p.Error(err)
	}
	for ev, err := range p.asked {
		if err != nil {
			break // no more
		}
		if u := ev.Request.URL; !strings.HasPrefix(u, "file://") && !strings.HasPrefix(u, "data:") {
			p.Errorf("the page asks for %s", u)
		}
	}
}

func (p *tab) shot(name string, sel string) {
	p.Helper()
	dir := os.Getenv("SYSRQ_SHOTS")
	if dir == "" {
		return
	}
	take := chromedp.CaptureScreenshot()
	if sel != "" {
		take = chromedp.Screenshot(chromedp.CSS(sel))
	}
	b, err := chromedp.Run(p.ctx, take)
	if err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		p.Error(err)
	}
}

func pageOf(t testing.TB, in Input) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, in, HTMLOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dark(on bool) action {
	v := "light"
	if on {
		v = "dark"
	}
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v}},
		})
		return err
	})
}

func noScript() action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

func TestPageInABrowser(t *testing.T) {
	needLab(t, "chromium")
	p := openTab(t, pageOf(t, makeMachine(300).input()))
	p.eventually(`document.documentElement.dataset.ready`)
	p.want(`document.querySelectorAll('h1').length`, 1)
	p.want(`document.querySelectorAll('.finding').length`, 6)
	p.want(`document.querySelector('.finding h3').textContent.includes('frozen')`, true)

	// By keyboard alone: the skip link comes first, '/' goes to the search.
	p.keys(kb.Tab)
	p.want(`document.activeElement.className`, "skip")
	p.keys("/")
	p.want(`document.activeElement.id`, "q")
	p.js(`document.activeElement.value = ''`) // a driven key arrives twice: as a key, and as a character
	p.keys("postgres percpu_rwsem")
	p.eventually(`document.querySelector('#count').textContent.startsWith('4 tasks')`)
	p.want(`document.querySelector('#count').textContent`, "4 tasks of 299 with 1 different stack")
	p.want(`document.querySelectorAll('#rows .twig').length`, 1)
	// On to the row, and open it.
	for range 16 {
		p.keys(kb.Tab)
		if p.js(`document.activeElement.className`) == "twig" {
			break
		}
	}
	p.want(`document.activeElement.getAttribute('aria-expanded')`, "false")
	p.press(kb.Enter, `document.activeElement.getAttribute('aria-expanded') === 'true'`)
	p.want(`document.querySelectorAll('#rows .frame').length > 8`, true)
	p.want(`[...document.querySelectorAll('#rows .leaf')].length`, 4)
	p.shot("tasks-open.png", "#tasks")
	p.press(kb.ArrowLeft, `document.querySelectorAll('#rows .frame').length === 0`)
	// Unfolded, sorted by number, each task has a row.
	p.js(`(() => { const q = document.querySelector('#q'); q.value = ''; q.dispatchEvent(new Event('input')); document.querySelector('#fold').click() })()`)
	p.eventually(`document.querySelector('#count').textContent === '299 tasks'`)
	p.js(`[...document.querySelectorAll('#rows thead button')].find(b => b.textContent === 'PID').click()`)
	p.want(`document.querySelector('#rows th[aria-sort]').getAttribute('aria-sort')`, "ascending")
	p.want(`document.querySelector('#rows tbody tr .n').textContent`, 77)
	p.js(`document.querySelector('#rows tbody .twig').focus()`)
	p.press(kb.ArrowDown, `+document.activeElement.dataset.row > 0`)
	p.press(kb.ArrowRight, `document.activeElement.getAttribute('aria-expanded') === 'true'`)
	p.press(kb.End, `document.activeElement.closest('tr').getAttribute('aria-rowindex') === String(+document.querySelector('#rows').getAttribute('aria-rowcount'))`)

	// A finding's lines are in the raw text, marked.
	p.js(`document.querySelector('.finding .lines a').click()`)
	p.want(`location.hash`, "#L3")
	p.want(`document.querySelectorAll('.raw li.t').length`, 19)
	p.want(`document.querySelector('#L4').classList.contains('m')`, true)
	p.want(`(r => r.top >= 0 && r.bottom <= innerHeight)(document.querySelector('#L3').getBoundingClientRect())`, true)
	p.shot("raw.png", "")

	// The flame graph grows under Enter and shrinks under Escape.
	p.js(`document.querySelector('svg.flame g[tabindex="0"]').focus()`)
	p.keys(kb.ArrowDown, kb.ArrowDown, kb.Enter)
	p.want(`Math.round(document.activeElement.querySelector('rect').getAttribute('width'))`, 1160)
	p.shot("flame-zoomed.png", "#flame")
	p.keys(kb.Escape)
	p.want(`document.activeElement.querySelector('rect').getAttribute('width') < 1160`, true)
	p.clean()
}

func TestPageIsAccessible(t *testing.T) {
	source := func() string { needLab(t, "chromium"); return axe(t) }()
	for _, c := range []struct {
		name string
		made *made
		dark bool
		wide int64
	}{
		{"light", makeMachine(60), false, 1280},
		{"dark", makeMachine(60), true, 1280},
		{"narrow", makeMachine(60), false, 400},
		{"nothing", nothing(), false, 1280},
		{"nasty", nasty(), true, 1280},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := openTab(t, pageOf(t, c.made.input()), dark(c.dark), chromedp.EmulateViewport(c.wide, 900))
			p.js(`document.querySelectorAll('details').forEach(d => { d.open = true })`)
			p.want(`document.documentElement.scrollWidth <= innerWidth`, true)
			p.do(chromedp.Evaluate[chromedp.Void](source))
			got := p.js(`axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' ' + n.failureSummary)}))))`)
			var list []any
			if err := json.Unmarshal([]byte(got.(string)), &list); err != nil {
				t.Fatal(err)
			}
			for _, v := range list {
				b, _ := json.MarshalIndent(v, "", " ")
				t.Errorf("axe: %s", b)
			}
			p.js(`document.querySelectorAll('details').forEach(d => { d.open = false })`)
			p.shots(c.name)
			p.clean()
		})
	}
}

// shots keeps the whole page, in pieces that can be looked at.
func (p *tab) shots(name string) {
	dir := os.Getenv("SYSRQ_SHOTS")
	if dir == "" {
		return
	}
	p.js(`scrollTo(0, 0)`)
	for i := range 8 {
		p.shot(fmt.Sprintf("%s-%d.png", name, i), "")
		if p.js(`(() => { const y = scrollY; scrollBy(0, innerHeight - 60); return scrollY > y })()`) == false {
			break
		}
	}
	pdf, err := chromedp.Run(p.ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground(), chromedp.PDFMargin(0.5)))
	if err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".pdf"), pdf, 0o644); err != nil {
		p.Error(err)
	}
}

// Without a script the findings, the pictures and the text are there.
func TestPageWithoutAScript(t *testing.T) {
	needLab(t, "chromium")
	p := openTab(t, pageOf(t, makeMachine(300).input()), noScript())
	shown, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS("main")))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"The file system on sdb1 is frozen", "Sleeps in", "These are the first 100 of 299"} {
		if !strings.Contains(shown, s) {
			t.Errorf("%q is not to be seen", s)
		}
	}
	p.shots("noscript")
	p.clean()
}

// A hundred thousand tasks must not freeze the page. How long things take is
// said and only gross slowness fails: machines differ.
func TestPageOfManyTasks(t *testing.T) {
	needLab(t, "chromium")
	html := pageOf(t, makeMachine(100_000).input())
	began := time.Now()
	p := openTab(t, html)
	p.eventually(`document.documentElement.dataset.ready`)
	t.Logf("%.1f MB, open after %v, browser's start included", float64(len(html))/(1<<20), time.Since(began).Round(time.Millisecond))
	nav := p.js(`JSON.stringify(performance.getEntriesByType('navigation').map(n => ({interactive: n.domInteractive, complete: n.domComplete})))`)
	t.Logf("page: %v", nav)
	for _, step := range []struct{ what, js string }{
		{"search", `(q => { q.value = 'nginx epoll'; q.dispatchEvent(new Event('input')) })(document.querySelector('#q'))`},
		{"clear", `(q => { q.value = ''; q.dispatchEvent(new Event('input')) })(document.querySelector('#q'))`},
		{"unfold", `document.querySelector('#fold').click()`},
		{"sort by name", `document.querySelector('#rows thead button').click()`},
		{"sort by function", `document.querySelectorAll('#rows thead button')[5].click()`},
		{"to the end", `document.querySelector('#grid').scrollTop = 1e9`},
	} {
		took := p.js(`(async () => { const t = performance.now(); ` + step.js + `; await new Promise(ok => setTimeout(ok, 130)); await new Promise(ok => requestAnimationFrame(() => setTimeout(ok, 0))); return Math.round(performance.now() - t - 130) })()`)
		t.Logf("%s: %v ms", step.what, took)
		if took.(float64) > 5000 {
			t.Errorf("%s took %v ms", step.what, took)
		}
	}
	p.want(`document.querySelectorAll('#rows tbody tr').length < 100`, true)
	p.want(`document.querySelector('#rows').getAttribute('aria-rowcount')`, 99_999+1)
	t.Logf("%v", p.js(`document.querySelector('#count').textContent`))
	p.clean()
}
