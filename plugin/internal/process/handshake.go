package process

import (
	"bufio"
	"errors"
	"os"
	"regexp"
)

// handshakeLine is the line that a host waits for.
var handshakeLine = regexp.MustCompile(`1\|\d+\|(unix|tcp)\|[^|]+\|grpc\|[A-Za-z0-9+/]*(\|true|\|false)?$`)

// filterHandshake returns a file for go-plugin to print the handshake to.
// Only that line goes on to out. Other goroutines may print at the same time;
// what they print goes to other. complete makes the line what the host gets.
func filterHandshake(out, other *os.File, complete func(line []byte) []byte) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		return out
	}
	go func() {
		lines := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := lines.ReadSlice('\n')
			if at := handshakeLine.FindIndex(trimNewline(line)); at != nil && out != nil {
				_, _ = other.Write(line[:at[0]])
				_, _ = out.Write(complete(line[at[0]:]))
				out = nil // once only
			} else {
				_, _ = other.Write(line)
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}()
	return w
}

func trimNewline(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		return line[:n-1]
	}
	return line
}
