package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/logplug/logplug/shared/wire"
)

// driverNames lists the drivers in dirs by the names of their files, without starting
// them. Whether they can be used turns out when they are.
func driverNames(dirs []string) (names []string) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name, ok := strings.CutPrefix(e.Name(), wire.DriverPrefix)
			if ok && wire.ValidName(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func badSize(flag, text string) error {
	return fmt.Errorf("%s %q: want a size, such as 64m", flag, text)
}
