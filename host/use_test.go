package host

import (
	"sync"
	"testing"
)

// TestLookingForADriver holds up nobody who uses others, however long it takes, and
// those who look for the same one get the same.
func TestLookingForADriver(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	var looking, wg sync.WaitGroup
	found := make(chan struct{})
	drivers := make([]*driver, 3)
	looking.Add(len(drivers))
	for i := range drivers {
		wg.Go(func() {
			drivers[i], _ = h.use("slow", func(string) (string, error) { // never fails
				looking.Done()
				<-found
				return "/nowhere", nil
			})
		})
	}
	looking.Wait()
	if st := h.Stats(); len(st.Drivers) != 0 {
		t.Errorf("drivers before any was found: %+v", st.Drivers)
	}
	close(found)
	wg.Wait()
	if drivers[0] == nil || drivers[0] != drivers[1] || drivers[0] != drivers[2] || len(h.Stats().Drivers) != 1 {
		t.Errorf("found %p, %p and %p", drivers[0], drivers[1], drivers[2])
	}
}
