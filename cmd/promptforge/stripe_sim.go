package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/promptforge/payments/internal/stripesim"
)

func runStripeSim(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("stripe-sim", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8081", "loopback address to listen on")
	dir := flags.String("data", ".data/stripe-sim", "folder that keeps its state")
	if err := parse(flags, args, std); err != nil {
		return err
	}
	listener, err := listenLoopback(*addr, "--addr")
	if err != nil {
		return err
	}
	defer listener.Close()
	secrets, err := openSecrets(filepath.Join(*dir, "secrets.json"), "sk_test_")
	if err != nil {
		return err
	}
	sim, err := stripesim.Open(stripesim.Config{
		Dir: filepath.Join(*dir, "state"), SecretKey: secrets.SecretKey, PublicURL: "http://" + listener.Addr().String(),
		Logger: newLogger(std.err, "text", 0),
	})
	if err != nil {
		return fmt.Errorf("open the stand-in: %w", err)
	}
	fmt.Fprintf(std.out, "Stripe stand-in at http://%s\nSecret key: %s\n", listener.Addr(), secrets.SecretKey)
	defer sayStop(ctx, std.out)()
	err = serveHTTP(ctx, listener, sim.Handler())
	if closeErr := sim.Close(); err == nil {
		err = closeErr
	}
	return err
}
