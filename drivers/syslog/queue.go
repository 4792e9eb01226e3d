package main

import "github.com/logplug/logplug/shared/logdriver"

// queue is what the logger was offered and has not settled, oldest first.
type queue struct {
	items []item
}

// item is a message that the sender has, as so many frames.
type item struct {
	seq    uint64
	last   bool // of its line, so far as it is known
	frames int  // that are not confirmed
}

func (q *queue) add(m *logdriver.Message, frames int) {
	q.items = append(q.items, item{m.Seq, !m.Partial.More(), frames})
}

// match tells how many of msgs, from the first on, are in the queue already. It
// returns false if the queue holds something else.
func (q *queue) match(msgs []*logdriver.Message) (known int, ok bool) {
	for known < min(len(q.items), len(msgs)) {
		it, m := &q.items[known], msgs[known]
		if m.Seq == 0 || m.Seq != it.seq || it.last == m.Partial.More() {
			return 0, false
		}
		known++
	}
	return known, true
}

// confirm records that n frames, the oldest, were confirmed.
func (q *queue) confirm(n int) {
	for i := 0; i < len(q.items) && n > 0; i++ {
		k := min(n, q.items[i].frames)
		q.items[i].frames -= k
		n -= k
	}
}

// take removes up to most messages from the front that are confirmed, and returns
// how many.
func (q *queue) take(most int) int {
	done := 0
	for done < min(len(q.items), most) && q.items[done].frames == 0 {
		done++
	}
	q.items = append(q.items[:0], q.items[done:]...)
	return done
}

// drop removes the n newest messages.
func (q *queue) drop(n int) { q.items = q.items[:len(q.items)-n] }

func (q *queue) clear() { q.items = q.items[:0] }
