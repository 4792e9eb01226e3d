//go:build !linux

package main

// Where memory is not shared, these drivers do not start.

func scribble(int) {}
func punch(int)    {}
func resize(int)   {}
