package diagnose

type signs struct{}

func (s *signs) add(line int64, text []byte) {}
