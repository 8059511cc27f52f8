package dump

import (
	"os"

	"golang.org/x/sys/unix"
)

// Colored tells whether text for f should have colours: f is a terminal that
// shows them, and the user has not said otherwise ($NO_COLOR, see no-color.org).
func Colored(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Columns(f) > 0
}

// Columns returns the width of the terminal f, 0 if it is none.
func Columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 {
		return defaultWidth
	}
	return int(size.Col)
}
