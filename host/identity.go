package host

import (
	"fmt"
	"os/user"
	"strconv"

	"github.com/logplug/logplug/host/internal/launch"
)

// resolveUser finds the identity that user and group name, as names or numbers,
// and the variables that tell a process about it. Neither given means nil.
func resolveUser(name, group string) (*launch.User, []string, error) {
	if name == "" && group == "" {
		return nil, nil, nil
	}
	account, err := findUser(name)
	if err != nil {
		return nil, nil, err
	}
	u := &launch.User{Name: account.Username}
	if u.UID, err = number(account.Uid); err != nil {
		return nil, nil, fmt.Errorf("User %s: %w", name, err)
	}
	switch {
	case group != "":
		if u.GID, err = findGroup(group); err != nil {
			return nil, nil, err
		}
	case account.Gid == "":
		return nil, nil, fmt.Errorf("User %s is a number without an account: Group is needed", name)
	default:
		if u.GID, u.Groups, err = userGroups(account); err != nil {
			return nil, nil, fmt.Errorf("User %s: %w", name, err)
		}
	}
	if name == "" || account.HomeDir == "" {
		return u, nil, nil
	}
	return u, []string{"HOME=" + account.HomeDir, "USER=" + account.Username, "LOGNAME=" + account.Username}, nil
}

// findUser returns the account of a user; of the current one for "". A number need
// not have one.
func findUser(name string) (*user.User, error) {
	if name == "" {
		u, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("find the current user: %w", err)
		}
		return u, nil
	}
	u, err := user.Lookup(name)
	if err == nil {
		return u, nil
	}
	if _, nerr := number(name); nerr != nil {
		return nil, fmt.Errorf("User: %w", err)
	}
	if u, err := user.LookupId(name); err == nil {
		return u, nil
	}
	return &user.User{Uid: name, Username: name}, nil
}

func findGroup(name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return number(g.Gid)
	}
	gid, err := number(name)
	if err != nil {
		return 0, fmt.Errorf("Group: there is no group %q", name)
	}
	return gid, nil
}

// userGroups returns the account's group, and all that it belongs to.
func userGroups(account *user.User) (gid uint32, groups []uint32, err error) {
	if gid, err = number(account.Gid); err != nil {
		return 0, nil, err
	}
	ids, err := account.GroupIds()
	if err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		g, err := number(id)
		if err != nil {
			return 0, nil, err
		}
		groups = append(groups, g)
	}
	return gid, groups, nil
}

// number reads the number of a user or group.
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of a user or group on this system", s)
	}
	return uint32(n), nil
}
