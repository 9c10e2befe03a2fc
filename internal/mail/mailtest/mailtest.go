// Package mailtest is a mail server for tests: it keeps what it takes, and
// refuses whom it is told to.
package mailtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
)

// Server speaks as much SMTP as a client needs that hands over a mail.
type Server struct {
	// URL is what SMTP_URL would be.
	URL string

	mu      sync.Mutex
	refused map[string]string
	mails   []Mail
	tried   map[string]int
}

// Mail is a mail that was taken.
type Mail struct {
	To      string
	Header  netmail.Header
	Body    string
	Subject string
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "smtp://" + listener.Addr().String(), refused: map[string]string{}, tried: map[string]int{}}
	var running sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(connection) })
		}
	})
	return s
}

// Refuse answers an address with a line such as "550 5.1.1 no such user"; an
// empty line takes it again. The address "DATA" stands for every text.
func (s *Server) Refuse(address, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[address] = line
}

// Mails are those taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Tried is how often somebody wanted to write to the address.
func (s *Server) Tried(address string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried[address]
}

func (s *Server) serve(connection net.Conn) {
	defer func() { _ = connection.Close() }() // the client has said all it wants
	in := bufio.NewReader(connection)
	say := func(line string) { fmt.Fprintf(connection, "%s\r\n", line) }
	say("220 mailtest")
	to := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "EHLO", "HELO":
			say("250 mailtest")
		case "RCPT":
			to = line[strings.IndexByte(line, '<')+1 : strings.IndexByte(line, '>')]
			say(s.judge(to, "250 ok"))
		case "DATA":
			answer := s.judge("DATA", "354 go on")
			say(answer)
			if answer != "354 go on" {
				continue
			}
			if err := s.take(to, in); err != nil {
				return
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *Server) judge(address, otherwise string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried[address]++
	if line := s.refused[address]; line != "" {
		return line
	}
	return otherwise
}

func (s *Server) take(to string, in *bufio.Reader) error {
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
	message, err := netmail.ReadMessage(strings.NewReader(text.String()))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(message.Body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, Mail{To: to, Header: message.Header, Body: string(body), Subject: message.Header.Get("Subject")})
	return nil
}
