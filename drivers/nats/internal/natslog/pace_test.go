package natslog

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p pace
	if !p.favours(2) {
		t.Error("a batch is not tried")
	}
	p = pace{single: time.Millisecond, batch: 20 * time.Millisecond}
	if p.favours(10) || !p.favours(30) {
		t.Error("the faster way is not taken")
	}
	p.batch = time.Hour
	for n := 0; !p.favours(10); n++ {
		if n > 1000 {
			t.Fatal("a batch is never tried again")
		}
	}
}
