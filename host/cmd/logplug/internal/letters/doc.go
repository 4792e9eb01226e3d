// Package letters works on a file of dead letters, to which hosts append at any
// time.
//
// To change the file FILE, it is moved aside first, so that hosts begin a new one:
//
//	FILE         what hosts append to
//	FILE.taken   what is being worked on, or was when its logplug was killed
//	FILE.lock    locked by the logplug that works on it
package letters
