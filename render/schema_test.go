package render

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sysrq/sysrq/diagnose"
	"github.com/sysrq/sysrq/dump"
)

// The published schema is made from the Go types: their JSON names, and their
// comments. go test ./render -run Schema -update writes it.

const schemaFile = "../docs/schema/report.schema.json"

// bodies are the types of the blocks' bodies, by kind.
var bodies = map[dump.Kind]dump.Body{
	dump.KindHeader: &dump.Header{}, dump.KindHelp: &dump.Help{}, dump.KindTask: &dump.Task{}, dump.KindHungTask: &dump.Task{},
	dump.KindCPU: &dump.CPU{}, dump.KindMemory: &dump.Memory{}, dump.KindOOM: &dump.OOM{}, dump.KindAllocation: &dump.OOM{},
	dump.KindTimers: &dump.Timers{}, dump.KindLocks: &dump.Locks{}, dump.KindWorkqueues: &dump.Workqueues{},
	dump.KindSched: &dump.Sched{}, dump.KindTrace: &dump.Trace{}, dump.KindSoftLockup: &dump.Report{},
	dump.KindHardLockup: &dump.Report{}, dump.KindRCUStall: &dump.Report{}, dump.KindWorkLockup: &dump.Report{},
	dump.KindOops: &dump.Report{}, dump.KindPanic: &dump.Report{}, dump.KindWarning: &dump.Report{},
	dump.KindLockdep: &dump.Report{}, dump.KindStack: &dump.Task{}, dump.KindUnread: &dump.Unread{},
}

// obj keeps the order in which a reader wants to see the keys.
type obj []pair

type pair struct {
	key string
	val any
}

func (o obj) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, _ := json.Marshal(p.key)
		var v bytes.Buffer
		enc := json.NewEncoder(&v)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(p.val); err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(v.Bytes()))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// docs are the comments of types and fields, and the values of string types'
// constants, of a package.
type docs struct {
	text   map[string]string // "Type" or "Type.Field"
	values map[string][]string
}

func readDocs(t *testing.T, dir string, d *docs) {
	t.Helper()
	pkgs, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(pkgs) == 0 {
		t.Fatalf("%s: no sources: %v", dir, err)
	}
	clean := func(name string, groups ...*ast.CommentGroup) string {
		var words []string
		for _, g := range groups {
			if g != nil {
				words = append(words, strings.Fields(g.Text())...)
			}
		}
		s := strings.Join(words, " ")
		return strings.NewReplacer("[Graph.Nodes]", "nodes").Replace(s)
	}
	for _, file := range pkgs {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					d.text[spec.Name.Name] = clean(spec.Name.Name, g.Doc)
					if st, ok := spec.Type.(*ast.StructType); ok {
						for _, field := range st.Fields.List {
							for i, n := range field.Names {
								if i == 0 || field.Comment != nil {
									d.text[spec.Name.Name+"."+n.Name] = clean(n.Name, field.Doc, field.Comment)
								}
							}
						}
					}
				case *ast.ValueSpec:
					if g.Tok != token.CONST {
						continue
					}
					typ, _ := spec.Type.(*ast.Ident)
					if typ == nil && len(spec.Names) == 1 && strings.HasPrefix(spec.Names[0].Name, "Kind") {
						typ = ast.NewIdent("Kind")
					}
					if typ != nil && len(spec.Values) == 1 {
						if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
							d.values[typ.Name] = append(d.values[typ.Name], strings.Trim(lit.Value, `"`))
						}
					}
				}
			}
		}
	}
}

// schemer writes a type's schema, and those of the structs in it.
type schemer struct {
	docs docs
	defs map[string]obj
}

func (s *schemer) of(t reflect.Type) any {
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return obj{{"type", "boolean"}}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return obj{{"type", "integer"}}
	case reflect.Uint64, reflect.Uint32:
		return obj{{"type", "integer"}, {"minimum", 0}}
	case reflect.String:
		if v := s.docs.values[t.Name()]; t.PkgPath() != "" && len(v) > 0 {
			return obj{{"enum", v}}
		}
		return obj{{"type", "string"}}
	case reflect.Slice:
		return obj{{"type", "array"}, {"items", s.of(t.Elem())}}
	case reflect.Map:
		return obj{{"type", "object"}, {"additionalProperties", s.of(t.Elem())}}
	case reflect.Struct:
		name := t.Name()
		if _, ok := s.defs[name]; !ok {
			s.defs[name] = nil // it may hold itself
			props, required := s.fields(t)
			s.defs[name] = obj{{"type", "object"}, {"description", s.docs.text[name]}, {"required", required}, {"properties", props}}
		}
		return obj{{"$ref", "#/$defs/" + name}}
	}
	panic("a type that the schema does not know: " + t.String())
}

// fields is a struct's, those of structs in it that have no name included.
func (s *schemer) fields(t reflect.Type) (props obj, required []string) {
	required = []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("json")
		if f.Anonymous && !tagged {
			p, r := s.fields(f.Type)
			for _, q := range p {
				if !slices.ContainsFunc(props, func(have pair) bool { return have.key == q.key }) {
					props = append(props, q)
					if slices.Contains(r, q.key) {
						required = append(required, q.key)
					}
				}
			}
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "-" || name == "" {
			continue
		}
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
		sch := s.of(f.Type)
		if text := s.docs.text[t.Name()+"."+f.Name]; text != "" {
			sch = append(obj{{"description", text}}, sch.(obj)...)
		}
		at := slices.IndexFunc(props, func(have pair) bool { return have.key == name })
		if at >= 0 {
			props[at].val = sch // as encoding/json: the outer one hides it
		} else {
			props = append(props, pair{name, sch})
		}
	}
	return props, required
}

func makeSchema(t *testing.T) []byte {
	t.Helper()
	s := &schemer{docs: docs{map[string]string{}, map[string][]string{}}, defs: map[string]obj{}}
	readDocs(t, "../dump", &s.docs)
	readDocs(t, "../diagnose", &s.docs)

	// One alternative for each type of body, with the kinds that have it.
	var kinds []obj
	var types []reflect.Type
	by := map[reflect.Type][]string{}
	for _, kind := range s.docs.values["Kind"] {
		body := bodies[dump.Kind(kind)]
		if body == nil {
			t.Fatalf("kind %s has no body in this test's table", kind)
		}
		typ := reflect.TypeOf(body).Elem()
		if by[typ] == nil {
			types = append(types, typ)
		}
		by[typ] = append(by[typ], kind)
	}
	for _, typ := range types {
		kinds = append(kinds, append(obj{{"properties", obj{{"kind", obj{{"enum", by[typ]}}}}}}, s.of(typ).(obj)...))
	}
	spans := s.of(reflect.TypeFor[[]dump.Span]())
	s.defs["Block"] = obj{
		{"description", "One thing that the kernel printed. Beside these fields it has those of its kind."},
		{"type", "object"},
		{"required", []string{"kind", "first_line", "last_line", "boot"}},
		{"properties", obj{
			{"kind", obj{{"enum", s.docs.values["Kind"]}}},
			{"first_line", obj{{"type", "integer"}, {"minimum", 1}, {"description", "The first line of the source that belongs to it, from 1."}}},
			{"last_line", obj{{"type", "integer"}, {"minimum", 1}, {"description", "The last one, included."}}},
			{"spans", append(obj{{"description", "Its own lines, where lines of others stand in between."}}, spans.(obj)...)},
			{"boot", obj{{"type", "integer"}, {"minimum", 0}, {"description", s.docs.text["Block.Boot"]}}},
			{"dump", obj{{"type", "integer"}, {"minimum", 0}, {"description", "The ordinal of the SysRq header under which it stands, from 1."}}},
			{"command", obj{{"type", "string"}, {"description", "That header's command, by the kernel's name."}}},
			{"time", obj{{"type", "number"}, {"description", "The kernel's own time of its first line, in seconds since boot."}}},
			{"unsure", obj{{"type", "array"}, {"items", obj{{"enum", s.docs.values["Doubt"]}}}, {"description", s.docs.text["Block.Unsure"]}}},
		}},
		{"oneOf", kinds},
	}

	top := obj{
		{"schema", obj{{"const", SchemaVersion}, {"description", "The version of this format. It changes when a field's meaning does, not when one is added."}}},
		{"title", obj{{"type", "string"}, {"description", "What the log is called: a file's name, most often."}}},
		{"machine", s.of(reflect.TypeFor[diagnose.Machine]())},
		{"findings", append(obj{{"description", "What a person should know."}}, s.of(reflect.TypeFor[[]diagnose.Finding]()).(obj)...)},
		{"blocked_tasks", append(obj{{"description", "The distinct tasks in state D over the whole log."}}, s.of(reflect.TypeFor[[]diagnose.Blocked]()).(obj)...)},
		{"groups", append(obj{{"description", "Tasks with like stacks."}}, s.of(reflect.TypeFor[[]diagnose.Group]()).(obj)...)},
		{"graph", s.of(reflect.TypeFor[diagnose.Graph]())},
		{"dumps", obj{{"type", "integer"}, {"minimum", 0}, {"description", "How many SysRq headers there are."}}},
		{"kinds", obj{{"type", "object"}, {"additionalProperties", obj{{"type", "integer"}}}, {"description", "How many blocks of each kind there are."}}},
		{"counts", s.of(reflect.TypeFor[dump.Counts]())},
		{"blocks", obj{{"type", "array"}, {"items", obj{{"$ref", "#/$defs/Block"}}}, {"description", "Everything that was read, and what could not be, in the order in which it ended."}}},
		{"unread", append(obj{{"description", "The lines that look like a part of a dump and could not be read."}}, spans.(obj)...)},
	}
	var required []string
	for _, p := range top {
		required = append(required, p.key)
	}
	var defs obj
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range s.defs {
			if !yield(n) {
				return
			}
		}
	}) {
		defs = append(defs, pair{name, s.defs[name]})
	}
	doc := obj{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://github.com/sysrq/sysrq/docs/schema/report.schema.json"},
		{"title", "What sysrq report --json prints"},
		{"description", "One object. Fields are added, never renamed: a reader skips what it does not know. Lines count from 1, as an editor does; ranges include both ends."},
		{"type", "object"},
		{"required", required},
		{"properties", top},
		{"$defs", defs},
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "\t"); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	got := makeSchema(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(schemaFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the types have changed; is that meant? Then: go test ./render -run Schema -update\n%s", diff)
	}
}

// strict forbids what the schema does not name, so that a forgotten field shows.
func strict(doc any) {
	defs := doc.(map[string]any)["$defs"].(map[string]any)
	block := defs["Block"].(map[string]any)
	block["unevaluatedProperties"] = false
	open := map[string]bool{"Block": true}
	for _, k := range block["oneOf"].([]any) { // their fields stand beside the block's
		open[strings.TrimPrefix(k.(map[string]any)["$ref"].(string), "#/$defs/")] = true
	}
	for name, d := range defs {
		if !open[name] {
			d.(map[string]any)["additionalProperties"] = false
		}
	}
	doc.(map[string]any)["additionalProperties"] = false
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	strict(doc)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, b []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("no JSON: %v", err)
	}
	return s.Validate(v)
}

// fill sets everything in a value to something.
func fill(v reflect.Value, docs *docs, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct && depth < 6 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), docs, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), docs, depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), docs, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k := reflect.New(v.Type().Key()).Elem()
		fill(k, docs, depth+1)
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e, docs, depth+1)
		v.SetMapIndex(k, e)
	case reflect.String:
		v.SetString("x")
		if vals := docs.values[v.Type().Name()]; v.Type().PkgPath() != "" && len(vals) > 0 {
			v.SetString(vals[0])
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1 << 30)
	}
}

// TestJSONFitsTheSchema writes every kind of block, empty and full.
func TestJSONFitsTheSchema(t *testing.T) {
	s := compileSchema(t)
	d := docs{map[string]string{}, map[string][]string{}}
	readDocs(t, "../dump", &d)
	readDocs(t, "../diagnose", &d)
	r := &diagnose.Report{}
	fill(reflect.ValueOf(r).Elem(), &d, 0)
	var blocks []*dump.Block
	for _, kind := range d.values["Kind"] {
		for _, full := range []bool{false, true} {
			body := reflect.New(reflect.TypeOf(bodies[dump.Kind(kind)]).Elem())
			b := &dump.Block{Kind: dump.Kind(kind), First: 1, Last: 2, Boot: 1, Body: body.Interface().(dump.Body)}
			if full {
				fill(body.Elem(), &d, 0)
				b.Spans, b.Dump, b.Command = []dump.Span{{First: 1, Last: 1}}, 2, "show-task-states"
				b.Time, b.HasTime, b.Unsure = time.Second/3, true, []dump.Doubt{dump.DoubtTorn}
			}
			blocks = append(blocks, b)
		}
	}
	for name, in := range map[string]Input{
		"empty":   {},
		"made":    makeMachine(50).input(),
		"every":   {Title: "x", Report: r, Blocks: slices.Values(blocks)},
		"nothing": nothing().input(),
	} {
		var b bytes.Buffer
		if err := JSON(&b, in); err != nil {
			t.Fatal(err)
		}
		if err := validate(t, s, b.Bytes()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := validate(t, s, []byte(`{"schema":1}`)); err == nil {
		t.Error("the schema takes anything")
	}
	for _, bad := range []string{`"kind":"task"`, `"kind":"nonsense","first_line":1,"last_line":1`} {
		var b bytes.Buffer
		_ = JSON(&b, Input{})
		doc := strings.Replace(b.String(), `"blocks":[`, `"blocks":[{`+bad+`}`, 1)
		if err := validate(t, s, []byte(doc)); err == nil {
			t.Errorf("the schema takes a block of %s", bad)
		}
	}
}
