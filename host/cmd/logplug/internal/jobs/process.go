package jobs

import "os"

// alive tells whether the process pid is the one that had the identity start. An
// error tells that this cannot be found out: what an alive process uses must not be
// touched then, so that alive is true.
func alive(pid int, start string) (bool, error) {
	if pid <= 0 || pid != os.Getpid() && !exists(pid) {
		return false, nil
	}
	if start == "" { // it could not be found out when that was noted
		return true, nil
	}
	now, err := identity(pid)
	return err != nil || now == start, err
}
