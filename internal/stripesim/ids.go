package stripesim

import "crypto/rand"

// The lengths of Stripe's ids after their prefix: objects from before 2020 have
// short ones, everything later long ones.
const (
	shortID   = 14
	longID    = 24
	sessionID = 58
	secretID  = 32
)

const idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID makes an id such as cus_PEHTtYpY7elppN. The random part is never
// guessed from the outside: a session id is all that its hosted page asks for.
func newID(prefix string, length int) string {
	id := make([]byte, 0, len(prefix)+length)
	id = append(id, prefix...)
	random := make([]byte, length)
	for len(id) < cap(id) {
		rand.Read(random) // never fails, see crypto/rand
		for _, b := range random {
			// 248 is the largest multiple of 62 in a byte: each letter is as likely.
			if b < 248 && len(id) < cap(id) {
				id = append(id, idAlphabet[b%62])
			}
		}
	}
	return string(id)
}
