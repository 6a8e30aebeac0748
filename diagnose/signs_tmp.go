package diagnose

type sign struct {
	ID                  string
	Severity            Severity
	What, Suspect, Next string
	Count               int64
	First, Last         int64
	Text                string
}
type signs struct{}

func (s *signs) add(line int64, text []byte) {}
func (s *signs) found() []sign               { return nil }
