// Command badhost is a host that breaks the contract on demand, by which the
// host suite is proven. It speaks to plugins with the suite's raw client, and
// keeps its connection in a file.
//
//	badhost FAULT ACTION HOME PLUGIN SETTINGS SECRET
//
// FAULT is one of the faults below, or none, which keeps what the faults
// break.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// The faults.
const (
	// lateStore hands access out, and uses it, before it stores.
	lateStore = "late-store"
	// noLease renews whenever access is too old, whoever else does.
	noLease = "no-lease"
	// noDeadline renews without a deadline, replays makes a renewal again
	// that was cut off.
	noDeadline = "no-deadline"
	replays    = "replays"
	// chatty prints what it gets; trusting completes any callback.
	chatty   = "chatty"
	trusting = "trusting"
)

// limit bounds an action.
const limit = 20 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "badhost: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	const words = 6
	if len(args) != words {
		return errors.New("usage: badhost FAULT ACTION HOME PLUGIN SETTINGS SECRET")
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	h, err := open(ctx, args)
	if err != nil {
		return err
	}
	defer h.close()
	switch args[1] {
	case "create":
		return nil // the settings come with each action
	case "sign-in":
		return h.signIn()
	case "access":
		token, _, err := h.access()
		if err != nil {
			return err
		}
		if !h.printed {
			fmt.Println(token)
		}
		return nil
	case "test":
		return h.test()
	}
	return fmt.Errorf("there is no action %q", args[1])
}
