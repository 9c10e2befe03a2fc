package config_test

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/joho/godotenv"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/config"
)

// good is an environment that serve accepts.
func good() map[string]string {
	env := map[string]string{
		"DATABASE_URL": "postgres://u:p@127.0.0.1/db", "BASE_URL": "https://billing.example.com",
		"STRIPE_SECRET_KEY": "sk_test_abcdefgh12", "STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh12",
	}
	for _, plan := range billing.DefaultPlans().Plans {
		for _, interval := range billing.Intervals() {
			env[plan.PriceEnv(interval)] = "price_" + plan.Code + string(interval)
		}
	}
	return env
}

func TestLoadServeAccepts(t *testing.T) {
	c, err := config.LoadServe(good(), false)
	if err != nil {
		t.Fatal(err)
	}
	if c.Addr != "127.0.0.1:8080" || c.MaxRPS != 20 || c.IsLive() || c.RateCheckout.N != 10 || c.LogFormat != "json" {
		t.Errorf("defaults = %+v", c)
	}
	for name, change := range map[string]map[string]string{
		"an address as nobody's browser writes":    {"BASE_URL": "HTTPS://Billing.Example.com:443/"},
		"Stripe itself with a slash":               {"STRIPE_SECRET_KEY": "sk_live_abcdefgh12", "STRIPE_API_BASE": "https://api.stripe.com/"},
		"two secrets while one is rolled":          {"STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh12, whsec_abcdefgh13"},
		"a live key at Stripe":                     {"STRIPE_SECRET_KEY": "sk_live_abcdefgh12", "STRIPE_API_BASE": "https://api.stripe.com"},
		"a publishable key of the same mode":       {"STRIPE_PUBLISHABLE_KEY": "pk_test_abcdefgh12"},
		"http on loopback":                         {"BASE_URL": "http://127.0.0.1:8080/"},
		"the stand-in on loopback":                 {"BASE_URL": "http://localhost:8080", "STRIPE_API_BASE": "http://127.0.0.1:8081"},
		"a database behind a socket":               {"DATABASE_URL": "postgres:///db?host=/run/postgresql"},
		"every interface":                          {"ADDR": ":8080"},
		"a cap on past due, and another policy":    {"PAST_DUE_CHURN_AFTER_DAYS": "30", "MRR_DISCOUNT_POLICY": "all"},
		"a reporting time zone":                    {"REPORTING_TIMEZONE": "Europe/Berlin"},
		"a mail server":                            {"SMTP_URL": "smtps://u:p@smtp.example.com:465", "MAIL_FROM": "PromptForge <billing@example.com>"},
		"proxies":                                  {"TRUSTED_PROXIES": "10.0.0.0/8,192.168.0.0/16"},
		"values that are empty count as not given": {"ADDR": "", "LOG_LEVEL": "", "STRIPE_MAX_RPS": ""},
	} {
		t.Run(name, func(t *testing.T) {
			env := good()
			maps.Copy(env, change)
			c, err := config.LoadServe(env, false)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(c.BaseURL, "/") || c.BaseURL != strings.ToLower(c.BaseURL) || strings.HasSuffix(c.BaseURL, ":443") || c.Addr == "" {
				t.Errorf("config = %+v", c)
			}
			if c.IsLive() && c.MaxRPS != 80 {
				t.Errorf("live ceiling = %d", c.MaxRPS)
			}
		})
	}
}

func TestLoadServeRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change map[string]string
		want   string
	}{
		"no database":                      {map[string]string{"DATABASE_URL": ""}, "DATABASE_URL is missing"},
		"another database":                 {map[string]string{"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL must be a postgres"},
		"no base":                          {map[string]string{"BASE_URL": ""}, "BASE_URL is missing"},
		"a base with a path":               {map[string]string{"BASE_URL": "https://example.com/app"}, "BASE_URL must have no path"},
		"http to strangers":                {map[string]string{"BASE_URL": "http://example.com"}, "BASE_URL must be https"},
		"no key":                           {map[string]string{"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY is missing"},
		"a publishable key as key":         {map[string]string{"STRIPE_SECRET_KEY": "pk_test_abcdefgh12"}, "STRIPE_SECRET_KEY must begin"},
		"a demo's key":                     {map[string]string{"STRIPE_SECRET_KEY": config.DemoKeyPrefix + "abcdefgh"}, "STRIPE_SECRET_KEY is a demo's"},
		"the example's key":                {map[string]string{"STRIPE_SECRET_KEY": "sk_test_replace0me"}, "STRIPE_SECRET_KEY is still that of .env.example"},
		"the example's secret":             {map[string]string{"STRIPE_WEBHOOK_SECRET": "whsec_replace0me"}, "STRIPE_WEBHOOK_SECRET is still that of .env.example"},
		"the example's price":              {map[string]string{"STRIPE_PRO_ANNUAL_PRICE_ID": "price_replace4"}, "STRIPE_PRO_ANNUAL_PRICE_ID is still that of .env.example"},
		"the example's other key":          {map[string]string{"STRIPE_PUBLISHABLE_KEY": "pk_test_replace0me"}, "STRIPE_PUBLISHABLE_KEY is still that of .env.example"},
		"modes that differ":                {map[string]string{"STRIPE_PUBLISHABLE_KEY": "pk_live_abcdefgh12"}, "STRIPE_PUBLISHABLE_KEY is of another mode"},
		"no webhook secret":                {map[string]string{"STRIPE_WEBHOOK_SECRET": " "}, "STRIPE_WEBHOOK_SECRET is missing"},
		"an empty webhook secret":          {map[string]string{"STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh12,,"}, "STRIPE_WEBHOOK_SECRET entry 2 of 3"},
		"a live key elsewhere":             {map[string]string{"STRIPE_SECRET_KEY": "sk_live_abcdefgh12", "STRIPE_API_BASE": "http://127.0.0.1:1"}, "STRIPE_API_BASE is not Stripe"},
		"the stand-in for strangers":       {map[string]string{"STRIPE_API_BASE": "http://127.0.0.1:8081"}, "STRIPE_API_BASE is not Stripe"},
		"a price that is missing":          {map[string]string{"STRIPE_PRO_ANNUAL_PRICE_ID": ""}, "STRIPE_PRO_ANNUAL_PRICE_ID is missing"},
		"a price that is a product":        {map[string]string{"STRIPE_PRO_ANNUAL_PRICE_ID": "prod_1"}, "STRIPE_PRO_ANNUAL_PRICE_ID must begin"},
		"one price for two offers":         {map[string]string{"STRIPE_PRO_ANNUAL_PRICE_ID": "price_promonth"}, "STRIPE_PRO_ANNUAL_PRICE_ID is the same price"},
		"a rate without a unit":            {map[string]string{"RATE_LIMIT_CHECKOUT": "10"}, "RATE_LIMIT_CHECKOUT is not of the right form"},
		"a proxy that is no network":       {map[string]string{"TRUSTED_PROXIES": "everyone"}, "TRUSTED_PROXIES is not of the right form"},
		"a database without a host":        {map[string]string{"DATABASE_URL": "postgres:///db"}, "DATABASE_URL must be a postgres"},
		"an address without a port":        {map[string]string{"ADDR": "127.0.0.1"}, "ADDR must be host:port"},
		"a support desk with a name":       {map[string]string{"SUPPORT_EMAIL": "Help <help@example.com>"}, "SUPPORT_EMAIL must be"},
		"a sender without a mail server":   {map[string]string{"MAIL_FROM": "billing@example.com"}, "SMTP_URL is missing"},
		"a mail server without a sender":   {map[string]string{"SMTP_URL": "smtps://u:p@smtp.example.com"}, "MAIL_FROM is missing"},
		"a mail server that is a web page": {map[string]string{"SMTP_URL": "https://smtp.example.com", "MAIL_FROM": "billing@example.com"}, "SMTP_URL must be"},
		"a cap below nought":               {map[string]string{"PAST_DUE_CHURN_AFTER_DAYS": "-1"}, "PAST_DUE_CHURN_AFTER_DAYS must be"},
		"a policy that is unknown":         {map[string]string{"MRR_DISCOUNT_POLICY": "some"}, "MRR_DISCOUNT_POLICY must be"},
		"a time zone that does not exist":  {map[string]string{"REPORTING_TIMEZONE": "Mars/Olympus"}, "REPORTING_TIMEZONE must be"},
		"a time zone that is the host's":   {map[string]string{"REPORTING_TIMEZONE": "Local"}, "REPORTING_TIMEZONE must be"},
		"a sender who has no address":      {map[string]string{"SMTP_URL": "smtps://u:p@smtp.example.com", "MAIL_FROM": "PromptForge"}, "MAIL_FROM must be"},
		"a support desk nowhere":           {map[string]string{"SUPPORT_EMAIL": "help"}, "SUPPORT_EMAIL must be"},
		"an unknown log level":             {map[string]string{"LOG_LEVEL": "loud"}, "LOG_LEVEL is not of the right form"},
		"an unknown log format":            {map[string]string{"LOG_FORMAT": "xml"}, "LOG_FORMAT must be"},
		"a negative ceiling":               {map[string]string{"STRIPE_MAX_RPS": "-1"}, "STRIPE_MAX_RPS must be above 0"},
		"a plans file that is away":        {map[string]string{"PLANS_FILE": "/nowhere/plans.json"}, "PLANS_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			env := good()
			maps.Copy(env, tt.change)
			if _, err := config.LoadServe(env, false); err == nil || !strings.Contains(err.Error(), "\n  "+tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestInsecureSimulatorAllowsTheStandIn(t *testing.T) {
	env := good()
	env["STRIPE_API_BASE"], env["STRIPE_SECRET_KEY"] = "http://127.0.0.1:8081", config.DemoKeyPrefix+"abcdefgh"
	if _, err := config.LoadServe(env, true); err != nil {
		t.Error(err)
	}
}

func TestAllFaultsComeInOneMessageWithoutASecret(t *testing.T) {
	env := map[string]string{"STRIPE_SECRET_KEY": "hunter2hunter2", "STRIPE_WEBHOOK_SECRET": "hunter2", "DATABASE_URL": "hunter2:hunter2", "TRUSTED_PROXIES": "hunter2"}
	_, err := config.LoadServe(env, false)
	if err == nil {
		t.Fatal("nothing was refused")
	}
	for _, want := range []string{
		"DATABASE_URL", "BASE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "TRUSTED_PROXIES",
		"STRIPE_PILOT_MONTHLY_PRICE_ID", "STRIPE_ENTERPRISE_ANNUAL_PRICE_ID",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message does not name %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the message shows a secret:\n%v", err)
	}
}

func TestTheRealEnvironmentWinsOverLocalWinsOverEnv(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PF_REAL", "real")
	for file, content := range map[string]string{
		".env":       "PF_REAL=env\nPF_LOCAL=env\nPF_ENV=env\n",
		".env.local": "# a comment\nPF_REAL=local\nPF_LOCAL=\"local\"\n",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env, err := config.Environment()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"PF_REAL": "real", "PF_LOCAL": "local", "PF_ENV": "env"} {
		if env[name] != want {
			t.Errorf("%s = %q, want %q", name, env[name], want)
		}
	}

	if err := os.WriteFile(".env", []byte("STRIPE SECRET KEY hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Environment(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), ".env") {
		t.Errorf("a file that is no list: %v, want an error that names it and shows nothing of it", err)
	}
}

func TestTheExampleNamesEveryVariable(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "..", ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var inExample []string
	name := regexp.MustCompile(`^#?([A-Z_]+)=`)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if m := name.FindStringSubmatch(lines.Text()); m != nil {
			inExample = append(inExample, m[1])
		}
	}
	read := variables(reflect.TypeFor[config.Serve]())
	for _, plan := range billing.DefaultPlans().Plans {
		for _, interval := range billing.Intervals() {
			read = append(read, plan.PriceEnv(interval))
		}
	}
	slices.Sort(inExample)
	slices.Sort(read)
	if !slices.Equal(inExample, read) {
		t.Errorf(".env.example names\n%q, and the binary reads\n%q", inExample, read)
	}
}

func variables(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		if f.Anonymous {
			out = append(out, variables(f.Type)...)
		} else if name := f.Tag.Get("env"); name != "-" {
			out = append(out, name)
		}
	}
	return out
}

// TestTheExampleIsNotTakenForReal: whoever copies it and fills in only what is
// at hand is told of all the rest.
func TestTheExampleIsNotTakenForReal(t *testing.T) {
	example, err := godotenv.Read(filepath.Join("..", "..", ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.LoadServe(example, false)
	if err == nil {
		t.Fatal("serve accepts .env.example as it is")
	}
	for name, value := range example {
		if strings.Contains(value, "replace") && !strings.Contains(err.Error(), name+" is still that of .env.example") {
			t.Errorf("%s is not told to be the example's:\n%v", name, err)
		}
	}
}
