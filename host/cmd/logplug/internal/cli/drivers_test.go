package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func TestDriversReasons(t *testing.T) {
	t.Parallel()
	reason := "in quarantine; the last one:\n\tpanic: \x1b[31mboom\n" + strings.Repeat("goroutine\n", 100)
	list := describeAll([]host.DriverInfo{
		{Name: "a", Path: "/d/a", Err: errors.New(reason)},
		{Name: "b", Path: "/d/b", Err: errors.New("bad")},
		{Name: "c", Path: "/d/c", Skipped: "not executable"},
		{Name: "d", Path: "/d/d", Description: &logdriver.Description{}},
		{Name: "e", Path: "/d/e", Description: &logdriver.Description{}},
	}, []host.DriverStats{{Driver: "d", LastError: "it has had enough"}, {Driver: "e", Pid: 7, LastError: "at first"}})
	for i, want := range []string{driverBroken, driverBroken, driverRefused, driverBroken, driverOK} {
		if list[i].Status != want {
			t.Errorf("driver %s is %s, want %s", list[i].Name, list[i].Status, want)
		}
	}
	if list[3].Reason != "it has had enough" || list[4].Reason != "" {
		t.Errorf("reasons %q and %q", list[3].Reason, list[4].Reason)
	}
	a := newApp(nil, nil, nil)
	a.stdout = devNull(t)
	text := a.driverText(list)
	if n := strings.Count(text, "\n"); n != 6 {
		t.Errorf("%d lines, want one for each driver and the header:\n%s", n, text)
	}
	if !strings.Contains(text, "in quarantine; the last one: | panic: \uFFFD[31mboom | goroutine") || !strings.Contains(text, "…\n") {
		t.Errorf("the reason is not folded and cut:\n%s", text)
	}
	a.verbose = true
	if text = a.driverText(list); strings.Count(text, "\n    goroutine") != 100 {
		t.Errorf("the reason is not shown in full:\n%s", text)
	}
}

func devNull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
