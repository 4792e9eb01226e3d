package child

import "golang.org/x/sys/unix"

// fionread has the other name of FIONREAD here, see ioctl_tty(2).
const fionread = unix.TIOCINQ
