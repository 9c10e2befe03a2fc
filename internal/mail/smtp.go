package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// SMTP is a mail server.
type SMTP struct {
	from   *netmail.Address
	domain string // of Message-IDs
	client *gomail.Client
}

// sendTimeout bounds each step of a conversation with the server.
const sendTimeout = 20 * time.Second

// NewSMTP reads the address of a mail server: smtps://user:password@host:465, or
// smtp://user:password@host:587, which must offer TLS unless it is on this
// machine. From is who writes: "PromptForge <billing@example.com>". No error
// shows the password.
func NewSMTP(address, from string) (*SMTP, error) {
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("the sender is not an address such as PromptForge <billing@example.com>")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		return nil, errors.New("the mail server is not an smtp:// or smtps:// address")
	}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, errors.New("the port of the mail server is no number")
		}
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(sendTimeout)}
	switch {
	case u.Scheme == "smtps":
		options = append(options, gomail.WithSSL())
	case isLoopback(u.Hostname()):
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if password, ok := u.User.Password(); ok {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(u.Hostname(), options...)
	if err != nil {
		return nil, fmt.Errorf("prepare the way to the mail server: %w", err)
	}
	_, domain, _ := strings.Cut(sender.Address, "@")
	return &SMTP{from: sender, domain: domain, client: client}, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Send hands a mail over. The server's final no is ErrRefused where it is about
// this mail: the address, or what stands in it. A no to the sender or to our
// password is about all of them, and is tried again once somebody has put it
// right.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	message := gomail.NewMsg()
	message.FromMailAddress(s.from)
	if err := message.To(m.To); err != nil {
		return fmt.Errorf("%w: %q is no address", ErrRefused, m.To)
	}
	message.SetMessageIDWithValue(m.ID + "@" + s.domain)
	message.SetDateWithValue(m.At)
	message.Subject(m.Subject)
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	err := s.client.DialAndSendWithContext(ctx, message)
	var fault *gomail.SendError
	if errors.As(err, &fault) && !fault.IsTemp() && fault.ErrorCode() >= 500 && isAboutTheMail(fault.Reason) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var network net.Error
	if errors.As(err, &network) {
		return fmt.Errorf("reach the mail server: %w", err)
	}
	return err
}

func isAboutTheMail(reason gomail.SendErrReason) bool {
	return reason == gomail.ErrSMTPRcptTo || reason == gomail.ErrSMTPData || reason == gomail.ErrSMTPDataClose
}
