//go:build !linux

package child

// await waits until the process has ended, then kills what is left of its
// group. A group with members keeps its number from being given to another
// process; an empty one doesn't, for the moment between the two steps.
func (c *Child) await() {
	_ = c.cmd.Wait() // the process's state tells how it ended
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	killGroup(c.cmd.Process)
}
