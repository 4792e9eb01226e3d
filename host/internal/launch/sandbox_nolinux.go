//go:build !linux

package launch

import "os"

// unsupported deals with the parts that are there on Linux only.
func (b *box) unsupported() error {
	for _, part := range []struct {
		wanted bool
		name   string
	}{
		{len(b.Rlimits) > 0, "limits of resources"},
		{b.MemoryLimit > 0, "the limit of memory"},
		{b.ConfineWrites, "confined writing"},
		{b.ConfineTCP, "confined TCP ports"},
	} {
		if part.wanted {
			if err := b.gap(part.name, errLinuxOnly); err != nil {
				return err
			}
		}
	}
	return nil
}

// cgroup is never made.
type cgroup struct{}

func (b *box) makeCgroup() error { return nil }

func (c *cgroup) close() {}

func (c *cgroup) kill() {}

func (c *cgroup) oomKilled() bool { return false }

func peakMemory(*os.ProcessState) int64 { return 0 }
