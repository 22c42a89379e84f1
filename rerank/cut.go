package rerank

import "unicode/utf8"

// Cut gives the first most tokens of a passage as text, and whether that is less than all of it. A character that is several
// tokens stays whole, and a token without a place of its own ends where the last one before it that has one does.
func (c *CrossEncoder) Cut(passage string, most int) (head string, cut bool) {
	// No more of the passage is looked at than is needed to be sure that its end does not change the tokens in question.
	for size := 16 * most; ; size *= 2 {
		head = passage
		if size < len(passage) {
			for !utf8.RuneStart(passage[size]) {
				size--
			}
			head = passage[:size]
		}
		tokens := c.folder.Tokens("", head, false)
		switch {
		case len(head) == len(passage) && len(tokens) <= most:
			return passage, false
		case len(head) < len(passage) && len(tokens) < 2*most:
			continue
		}
		stop := 0 // in characters
		for _, t := range tokens[:most] {
			stop = max(stop, t.Stop)
		}
		at := 0
		for range stop {
			_, width := utf8.DecodeRuneInString(head[at:])
			at += width
		}
		return head[:at], at < len(passage)
	}
}
