// Package logs carries what a plugin prints into the host's log. The plugin
// isn't trusted: lines are bounded in length, number and form, and a plugin
// that prints faster than the host logs loses lines, never the host.
package logs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxLine     = 16 << 10 // bytes kept of one line; the rest is dropped
	maxMessage  = 4 << 10  // runes of a message that are logged
	maxValue    = 1 << 10  // runes of a field's value that are logged
	maxKey      = 64       // runes of a field's name that are logged
	maxAttrs    = 32       // fields of one line that are logged
	maxQueued   = 512      // lines that wait for the logger
	perInterval = 1000     // lines logged in one interval
	interval    = time.Second
)

// Log is the log of one plugin process. Its writers never block.
type Log struct {
	logger *slog.Logger
	scrub  func(string) string

	queue   chan line
	dropped atomic.Int64
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	mu    sync.Mutex
	crash string // the first line of the process's last words
	last  string // the last line on standard error
}

type line struct {
	stream string
	text   string
}

// New returns a log that writes to logger. Every text goes through scrub
// first. Close ends it.
func New(logger *slog.Logger, scrub func(string) string) *Log {
	l := &Log{
		logger: logger, scrub: scrub, queue: make(chan line, maxQueued),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go l.run()
	return l
}

// Close logs what is queued and ends the log. Later lines are dropped. It is
// safe to call it twice.
func (l *Log) Close() {
	l.once.Do(func() { close(l.stop) })
	<-l.stopped
}

// LastWords returns what best explains why the process ended: the first line
// of a Go runtime's panic, else the last line of standard error; scrubbed and
// cleaned, at most limit runes.
func (l *Log) LastWords(limit int) string {
	l.mu.Lock()
	words := l.crash
	if words == "" {
		words = l.last
	}
	l.mu.Unlock()
	return Clean(l.scrub(parse(words).message), limit)
}

// add queues a line, or counts it as dropped.
func (l *Log) add(stream, text string) {
	if stream == Stderr && text != "" {
		l.mu.Lock()
		l.last = text
		if l.crash == "" && parse(text).crash {
			l.crash = text
		}
		l.mu.Unlock()
	}
	select {
	case l.queue <- line{stream, text}:
	default:
		l.dropped.Add(1)
	}
}

func (l *Log) run() {
	defer close(l.stopped)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	budget := perInterval
	log := func(next line) {
		if budget == 0 {
			l.dropped.Add(1)
			return
		}
		budget--
		l.write(next)
	}
	for {
		select {
		case next := <-l.queue:
			log(next)
		case <-ticker.C:
			budget = perInterval
			l.report()
		case <-l.stop:
			for {
				select {
				case next := <-l.queue:
					log(next)
				default:
					l.report()
					return
				}
			}
		}
	}
}

// report tells how many lines were lost since the last report.
func (l *Log) report() {
	if n := l.dropped.Swap(0); n > 0 {
		l.logger.Warn("The plugin prints too much; lines were dropped.", "dropped", n)
	}
}

func (l *Log) write(next line) {
	e := entry{level: slog.LevelDebug, message: next.text}
	if next.stream == Stderr {
		e = parse(next.text)
	}
	ctx := context.Background()
	if !l.logger.Enabled(ctx, e.level) {
		return
	}
	attrs := []slog.Attr{slog.String("stream", next.stream)}
	if len(e.attrs) > 0 {
		fields := make([]any, 0, len(e.attrs))
		for _, a := range e.attrs {
			fields = append(fields, slog.String(
				Clean(l.scrub(a.Key), maxKey), Clean(l.scrub(a.Value.String()), maxValue)))
		}
		attrs = append(attrs, slog.Group("fields", fields...))
	}
	l.logger.LogAttrs(ctx, e.level, Clean(l.scrub(e.message), maxMessage), attrs...)
}
