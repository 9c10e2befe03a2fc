// Package config reads the environment: once, whole, and with every fault in
// one message. Nothing else but cmd looks at it.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/ratelimit"
)

// Serve is what the production server needs.
type Serve struct {
	Database
	Stripe

	BaseURL        string   `env:"BASE_URL"`
	WebhookSecrets []string `env:"STRIPE_WEBHOOK_SECRET"`
	PublishableKey string   `env:"STRIPE_PUBLISHABLE_KEY"`
	Addr           string   `env:"ADDR" envDefault:"127.0.0.1:8080"`

	// BaseCurrency is the one in which all may be added up, as a lower-case code;
	// empty: none is.
	BaseCurrency string `env:"BASE_CURRENCY"`

	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES"`
	RateCheckout   ratelimit.Rate `env:"RATE_LIMIT_CHECKOUT" envDefault:"10/m"`
	RateRead       ratelimit.Rate `env:"RATE_LIMIT_READ" envDefault:"100/m"`

	// ReportingTimeZone is where the days of the figures begin, an IANA name; empty:
	// as it is, UTC at first.
	ReportingTimeZone string `env:"REPORTING_TIMEZONE"`
	// DiscountPolicy says which coupons lower MRR, and PastDueCap after how many days
	// past due a subscription counts as lost, 0 for when Stripe gives up; without
	// them both are as they are: recurring, and 0, at first.
	DiscountPolicy string `env:"MRR_DISCOUNT_POLICY"`
	PastDueCap     *int   `env:"PAST_DUE_CHURN_AFTER_DAYS"`

	// SupportEmail is where customers write to; empty: no page names one.
	SupportEmail string `env:"SUPPORT_EMAIL"`
	// SMTPURL is the mail server, and MailFrom who writes; without them mails are
	// kept in the database.
	SMTPURL  string `env:"SMTP_URL"`
	MailFrom string `env:"MAIL_FROM"`

	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat string     `env:"LOG_FORMAT" envDefault:"json"`

	Plans billing.Plans `env:"-"`
	// PriceIDs are those sold, by the name of their variable, which
	// billing.Plan.PriceEnv gives.
	PriceIDs map[string]string `env:"-"`
}

// Database says where the rows are.
type Database struct {
	DatabaseURL string `env:"DATABASE_URL"`
	// MigrateURL is for the role that owns the schema; DatabaseURL by default.
	MigrateURL string `env:"MIGRATE_DATABASE_URL"`
	// ListenURL leads to Postgres itself where DatabaseURL leads to a pooler that
	// hands connections on after each transaction; empty: DatabaseURL does.
	ListenURL string `env:"LISTEN_DATABASE_URL"`
}

// Stripe says how to reach Stripe.
type Stripe struct {
	SecretKey string `env:"STRIPE_SECRET_KEY"`
	// APIBase is empty for Stripe itself.
	APIBase string `env:"STRIPE_API_BASE"`
	// MaxRPS is 0 until the mode of the key decides.
	MaxRPS    int    `env:"STRIPE_MAX_RPS"`
	PlansFile string `env:"PLANS_FILE"`
}

// Environment is the real one with .env.local and .env of the working directory
// behind it: what stands earlier wins.
func Environment() (map[string]string, error) {
	out := map[string]string{}
	for _, file := range []string{".env", ".env.local"} {
		vars, err := godotenv.Read(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			// The parser's message may quote the line, and with it a secret.
			return nil, fmt.Errorf("read %s: it is not a list of NAME=value lines", file)
		}
		maps.Copy(out, vars)
	}
	maps.Copy(out, env.ToMap(os.Environ()))
	return out, nil
}

// LoadServe reads and checks what serve needs. insecureSimulator allows the
// Stripe stand-in and the demo's secrets on an address that others can reach.
func LoadServe(environment map[string]string, insecureSimulator bool) (Serve, error) {
	var c Serve
	faults := parse(&c, environment)
	plans, err := loadPlans(c.PlansFile)
	if err != nil {
		faults.add("PLANS_FILE", "%v", err)
	}
	c.Plans = plans
	faults.database(c.Database)
	faults.stripe(&c.Stripe)
	c.BaseURL = faults.baseURL(c.BaseURL)
	c.WebhookSecrets = faults.webhookSecrets(environment["STRIPE_WEBHOOK_SECRET"])
	c.PriceIDs = faults.priceIDs(environment, plans)
	if c.PublishableKey != "" {
		faults.publishableKey(c.PublishableKey, c.SecretKey)
	}
	if _, port, err := net.SplitHostPort(c.Addr); err != nil || port == "" {
		faults.add("ADDR", "must be host:port")
	}
	if address, err := mail.ParseAddress(c.SupportEmail); c.SupportEmail != "" && (err != nil || address.Address != c.SupportEmail) {
		faults.add("SUPPORT_EMAIL", "must be an e-mail address and nothing else")
	}
	if _, err := time.LoadLocation(c.ReportingTimeZone); err != nil || c.ReportingTimeZone == "Local" {
		faults.add("REPORTING_TIMEZONE", "must be the name of a time zone, such as Europe/Berlin")
	}
	if _, err := analytics.ParseDiscountPolicy(c.DiscountPolicy); err != nil && c.DiscountPolicy != "" {
		faults.add("MRR_DISCOUNT_POLICY", "must be forever_only, recurring, all or none")
	}
	if c.PastDueCap != nil && (*c.PastDueCap < 0 || *c.PastDueCap > 365) {
		faults.add("PAST_DUE_CHURN_AFTER_DAYS", "must be a number of days up to 365, or 0 for none")
	}
	c.BaseCurrency = faults.currency("BASE_CURRENCY", c.BaseCurrency)
	faults.mail(c.SMTPURL, c.MailFrom)
	if c.LogFormat != "json" && c.LogFormat != "text" {
		faults.add("LOG_FORMAT", "must be json or text")
	}
	if !insecureSimulator {
		faults.simulator(c)
	}
	return c, faults.error()
}

// LoadStripe reads and checks what setup-stripe needs.
func LoadStripe(environment map[string]string) (Stripe, billing.Plans, error) {
	var c Stripe
	faults := parse(&c, environment)
	plans, err := loadPlans(c.PlansFile)
	if err != nil {
		faults.add("PLANS_FILE", "%v", err)
	}
	faults.stripe(&c)
	return c, plans, faults.error()
}

// LoadDatabase reads and checks what migrate and user need.
func LoadDatabase(environment map[string]string) (Database, error) {
	var c Database
	faults := parse(&c, environment)
	faults.database(c)
	if c.MigrateURL == "" {
		c.MigrateURL = c.DatabaseURL
	}
	return c, faults.error()
}

// DemoKeyPrefix begins the secret key of every demo, so that it is known when it
// turns up where it should not be.
const DemoKeyPrefix = "sk_test_demo"

// IsLive reports whether the key moves real money.
func (s Stripe) IsLive() bool { return isLiveKey(s.SecretKey) }

func isLiveKey(key string) bool {
	return strings.HasPrefix(key, "sk_live_") || strings.HasPrefix(key, "rk_live_") || strings.HasPrefix(key, "pk_live_")
}

func loadPlans(file string) (billing.Plans, error) {
	if file == "" {
		return billing.DefaultPlans(), nil
	}
	raw, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return billing.Plans{}, err
	}
	return billing.ParsePlans(raw)
}

// faults collects what is wrong, by variable. No message shows a value that may
// be a secret.
type faults []string

func (f *faults) add(name, format string, args ...any) {
	*f = append(*f, name+" "+fmt.Sprintf(format, args...))
}

func (f *faults) error() error {
	if len(*f) == 0 {
		return nil
	}
	slices.Sort(*f)
	return errors.New("the environment is not right:\n  " + strings.Join(slices.Compact(*f), "\n  "))
}

// parse fills the struct; a value of the wrong type is a fault that names its
// variable and not the value.
func parse(c any, environment map[string]string) *faults {
	var f faults
	err := env.ParseWithOptions(c, env.Options{Environment: environment, FuncMap: map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[ratelimit.Rate](): func(s string) (any, error) { return ratelimit.ParseRate(s) },
	}})
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, one := range all.Errors {
			var wrong env.ParseError
			if errors.As(one, &wrong) {
				f.add(variableOf(c, wrong.Name), "is not of the right form")
			} else {
				f.add("environment", "cannot be read")
			}
		}
	}
	return &f
}

func (f *faults) database(c Database) {
	f.postgresURL("DATABASE_URL", c.DatabaseURL, true)
	f.postgresURL("MIGRATE_DATABASE_URL", c.MigrateURL, false)
	f.postgresURL("LISTEN_DATABASE_URL", c.ListenURL, false)
}

func (f *faults) postgresURL(name, value string, required bool) {
	if value == "" {
		if required {
			f.add(name, "is missing")
		}
		return
	}
	u, err := url.Parse(value)
	// A server behind a socket has no host but a parameter of that name.
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.Query().Get("host") == "" {
		f.add(name, "must be a postgres:// address")
	}
}

var (
	secretKey      = regexp.MustCompile(`^[sr]k_(test|live)_[A-Za-z0-9]{8,}$`)
	publishableKey = regexp.MustCompile(`^pk_(test|live)_[A-Za-z0-9]{8,}$`)
	webhookSecret  = regexp.MustCompile(`^whsec_[A-Za-z0-9+/=_-]{8,}$`)
	priceID        = regexp.MustCompile(`^price_[A-Za-z0-9_]+$`)
	// placeholder is what .env.example has in place of something of Stripe's.
	placeholder = regexp.MustCompile(`^[a-z]+_(test_|live_)?replace[0-9]`)
)

const isPlaceholder = "is still that of .env.example"

func (f *faults) stripe(c *Stripe) {
	switch {
	case c.SecretKey == "":
		f.add("STRIPE_SECRET_KEY", "is missing")
	case placeholder.MatchString(c.SecretKey):
		f.add("STRIPE_SECRET_KEY", isPlaceholder)
	case !secretKey.MatchString(c.SecretKey):
		f.add("STRIPE_SECRET_KEY", "must begin with sk_test_, sk_live_, rk_test_ or rk_live_")
	}
	c.APIBase = strings.TrimSuffix(c.APIBase, "/")
	if strings.EqualFold(c.APIBase, "https://api.stripe.com") {
		c.APIBase = ""
	}
	if c.APIBase != "" {
		u, err := url.Parse(c.APIBase)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" {
			f.add("STRIPE_API_BASE", "must be an http(s) address without a path")
		}
		if c.IsLive() {
			f.add("STRIPE_API_BASE", "is not Stripe: a live key goes nowhere else")
		}
	}
	switch {
	case c.MaxRPS < 0:
		f.add("STRIPE_MAX_RPS", "must be above 0")
	case c.MaxRPS == 0 && c.IsLive():
		c.MaxRPS = 80
	case c.MaxRPS == 0:
		c.MaxRPS = 20
	}
}

// simulator refuses to pretend payments where somebody could take them for real.
func (f *faults) simulator(c Serve) {
	if c.APIBase != "" && !IsLoopback(c.BaseURL) {
		f.add("STRIPE_API_BASE", "is not Stripe, and BASE_URL is not loopback: payments would only be pretended (--insecure-simulator allows it)")
	}
	if strings.HasPrefix(c.SecretKey, DemoKeyPrefix) {
		f.add("STRIPE_SECRET_KEY", "is a demo's (--insecure-simulator allows it)")
	}
}

func (f *faults) publishableKey(key, secret string) {
	switch {
	case placeholder.MatchString(key):
		f.add("STRIPE_PUBLISHABLE_KEY", isPlaceholder)
	case !publishableKey.MatchString(key):
		f.add("STRIPE_PUBLISHABLE_KEY", "must begin with pk_test_ or pk_live_")
	case isLiveKey(key) != isLiveKey(secret):
		f.add("STRIPE_PUBLISHABLE_KEY", "is of another mode than STRIPE_SECRET_KEY")
	}
}

func (f *faults) baseURL(value string) string {
	u, err := url.Parse(value)
	switch {
	case value == "":
		f.add("BASE_URL", "is missing")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		f.add("BASE_URL", "must be an http(s) address")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		f.add("BASE_URL", "must have no path, query or user")
	case u.Scheme == "http" && !IsLoopback(value):
		f.add("BASE_URL", "must be https: only a loopback address may be http")
	}
	return origin(value)
}

// origin writes an address as browsers do in the Origin header: lower case,
// without the port that its scheme implies.
func origin(address string) string {
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(address, "/")))
	if err != nil {
		return address // refused already
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.String()
}

// currency is a code in lower case, as Stripe writes it; empty for none.
func (f *faults) currency(name, value string) string {
	if value == "" {
		return ""
	}
	currency, err := money.ParseCurrency(value)
	if err != nil {
		f.add(name, "must be a three-letter code such as USD")
	}
	return string(currency)
}

// mail wants both or neither. Neither is shown: the address of a mail server
// holds its password.
func (f *faults) mail(server, from string) {
	if server == "" && from == "" {
		return
	}
	u, err := url.Parse(server)
	switch {
	case server == "":
		f.add("SMTP_URL", "is missing, where MAIL_FROM is given")
	case err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" && u.Path != "/":
		f.add("SMTP_URL", "must be smtps://user:password@host:465 or smtp://user:password@host:587")
	}
	address, err := mail.ParseAddress(from)
	switch {
	case from == "":
		f.add("MAIL_FROM", "is missing, where SMTP_URL is given")
	case err != nil || !strings.Contains(address.Address[strings.LastIndexByte(address.Address, '@')+1:], ".") && !IsLoopback(server):
		f.add("MAIL_FROM", "must be an address such as PromptForge <billing@example.com>")
	}
}

func (f *faults) webhookSecrets(list string) []string {
	if strings.TrimSpace(list) == "" {
		f.add("STRIPE_WEBHOOK_SECRET", "is missing")
		return nil
	}
	secrets := strings.Split(list, ",")
	for i, secret := range secrets {
		secrets[i] = strings.TrimSpace(secret)
		if placeholder.MatchString(secrets[i]) {
			f.add("STRIPE_WEBHOOK_SECRET", "%s (promptforge setup-stripe prints it)", isPlaceholder)
		} else if !webhookSecret.MatchString(secrets[i]) {
			f.add("STRIPE_WEBHOOK_SECRET", "entry %d of %d is empty or does not begin with whsec_", i+1, len(secrets))
		}
	}
	return secrets
}

func (f *faults) priceIDs(environment map[string]string, plans billing.Plans) map[string]string {
	out, used := map[string]string{}, map[string]string{}
	for _, plan := range plans.Plans {
		for _, interval := range billing.Intervals() {
			name := plan.PriceEnv(interval)
			id := environment[name]
			switch other, taken := used[id]; {
			case id == "":
				f.add(name, "is missing (promptforge setup-stripe prints it)")
			case placeholder.MatchString(id):
				f.add(name, "%s (promptforge setup-stripe prints it)", isPlaceholder)
			case !priceID.MatchString(id):
				f.add(name, "must begin with price_")
			case taken:
				f.add(name, "is the same price as %s", other)
			}
			out[name], used[id] = id, name
		}
	}
	return out
}

// IsLoopback reports whether an address leads to this machine.
func IsLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// variableOf is the variable that fills a field of the struct.
func variableOf(c any, field string) string {
	f, ok := reflect.TypeOf(c).Elem().FieldByName(field)
	if !ok {
		return field
	}
	return f.Tag.Get("env")
}
