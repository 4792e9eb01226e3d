package logfile

import (
	"slices"

	"github.com/logplug/logplug/shared/logdriver"
)

// damage is damage that a reading has come upon.
type damage struct {
	*DamageError
	at place
}

// damaged remembers damage, as one with what it adjoins.
func (r *reading) damaged(g *generation, off, n int64, err error) {
	if i := len(r.damage) - 1; i >= 0 && n > 0 {
		if d := r.damage[i]; d.Bytes > 0 && d.File == g.name && d.Offset+d.Bytes <= off {
			d.Bytes = off + n - d.Offset
			return
		}
	}
	r.damage = append(r.damage, damage{&DamageError{File: g.name, Offset: off, Bytes: n, Err: err}, place{r.gen, off}})
}

// passDamage forgets damage before a record that is not delivered. That of unknown extent
// may have taken the first record with it that would have been.
func (r *reading) passDamage() {
	if len(r.damage) > 0 {
		r.damage = slices.DeleteFunc(r.damage, func(d damage) bool { return d.Bytes > 0 })
	}
}

// reportDamage delivers damage, once it is known that it lies in what was asked for.
func (r *reading) reportDamage() error {
	if !r.matched || len(r.damage) == 0 {
		return nil
	}
	pending := r.damage
	r.damage = nil
	for _, d := range pending {
		if d.at.before(r.from) {
			continue
		}
		m := logdriver.NewMessage()
		m.Err = d.DamageError
		if err := r.send(m); err != nil {
			return err
		}
	}
	return nil
}
