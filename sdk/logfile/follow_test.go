package logfile

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// A follower whose time has passed ends also if a rotation comes just then.
func TestExpiresInRotation(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxFiles = 2
	l := mustOpen(t, cfg)
	add(t, l, 0, 2)
	quiet := &directed{tracker: local{l}}
	d := &unwoken{quiet}
	quiet.look = func(n int) {
		if n == 2 { // the time has passed: nothing else wakes it
			l.mu.Lock()
			defer l.mu.Unlock()
			if err := l.rotate(); err != nil {
				t.Error(err)
			}
		}
	}
	gens, err := d.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	w := logdriver.NewLogWatcher()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &reading{
		ctx: ctx, w: w, format: cfg.Format, tracker: d, gens: gens, dec: cfg.Format.NewDecoder(), matched: true, expires: true,
		cfg: logdriver.ReadConfig{Tail: -1, Follow: true, Until: time.Now().Add(-lateness)},
	}
	go r.run()
	if got := drainAll(t, w); !slices.Equal(got, texts(0, 2)) || ending(w) != nil {
		t.Errorf("%q, %v", got, ending(w))
	}
}

// unwoken tells nothing of changes.
type unwoken struct{ *directed }

func (u *unwoken) state(g *generation) (state, <-chan struct{}, error) {
	s, _, err := u.directed.state(g)
	return s, nil, err
}
