package seed

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The words of which names are made. An organization's name is one of the first
// list and one of the second; 64 times 32 are more than MaxCustomers.
var (
	stems = []string{
		"Alderbrook", "Amberfield", "Anchorage Row", "Ashgrove", "Barley & Finch", "Beacon Hill", "Birchmere", "Blue Heron",
		"Brightwater", "Brindle", "Calder", "Cedar Point", "Chalkhill", "Cobalt", "Copperline", "Corvane",
		"Driftwood", "Eastgate", "Elderflower", "Emberly", "Fairlead", "Fernhollow", "Fieldstone", "Foxglove",
		"Glasshouse", "Goldcrest", "Greywater", "Halyard", "Harborlight", "Hazelmoor", "Heather Lane", "Highmark",
		"Inkwell", "Ironbark", "Juniper", "Kestrel", "Kingfisher", "Lanternlight", "Larkspur", "Linden",
		"Longshore", "Marlowe", "Meridian Park", "Millrace", "Moonraker", "Northwind", "Oakhurst", "Orchard Lane",
		"Paperbark", "Pinecrest", "Quayside", "Redwing", "Rosewater", "Saltmarsh", "Silverbirch", "Sparrowhawk",
		"Stonebridge", "Summerfield", "Tidewater", "Umberland", "Violet Hour", "Westbrook", "Willowbank", "Yarrow",
	}
	trades = []string{
		"Analytics", "Architects", "Biotech", "Books", "Ceramics", "Clinics", "Collective", "Energy",
		"Fabrics", "Foods", "Freight", "Games", "Gardens", "Health", "Insurance", "Instruments",
		"Labs", "Learning", "Legal", "Logistics", "Media", "Mobility", "Optics", "Partners",
		"Press", "Research", "Robotics", "Software", "Studio", "Supply", "Travel", "Works",
	}
	firstNames = []string{
		"Aiko", "Amara", "Anders", "Beatriz", "Bram", "Camille", "Carlos", "Chiara", "Dara", "Deniz", "Elif", "Emeka",
		"Erik", "Farah", "Felix", "Freya", "Giulia", "Hana", "Henrik", "Imani", "Ines", "Ivan", "Jakub", "Jasmin",
		"Jonas", "Kaito", "Karin", "Lena", "Leo", "Lucia", "Mads", "Maya", "Mei", "Miriam", "Nadia", "Nikhil",
		"Noor", "Olga", "Omar", "Paula", "Priya", "Rafael", "Rosa", "Samir", "Signe", "Tariq", "Tessa", "Yusuf",
	}
	lastNames = []string{
		"Adeyemi", "Almeida", "Andersen", "Bakker", "Banerjee", "Becker", "Bianchi", "Castillo", "Demir", "Dubois", "Eriksen", "Farouk",
		"Fischer", "Garcia", "Haddad", "Hansen", "Ito", "Jansen", "Kaya", "Keller", "Kim", "Kowalski", "Larsen", "Lindqvist",
		"Marin", "Mensah", "Moreau", "Nakamura", "Novak", "Okafor", "Olsen", "Patel", "Pereira", "Petrov", "Quispe", "Rahman",
		"Ricci", "Romero", "Santos", "Schmidt", "Singh", "Tanaka", "Tran", "Vargas", "Virtanen", "Weber", "Yamada", "Zhang",
	}
)

// organizations are so many with names that nobody else has. Addresses end in
// .example, where no mail can arrive.
func organizations(r *rand.Rand, n int) []Organization {
	order := r.Perm(len(stems))
	first := make([]int, len(stems)) // where each stem begins in the trades
	for i := range first {
		first[i] = r.IntN(len(trades))
	}
	out := make([]Organization, n)
	for i := range out {
		stem := order[i%len(stems)]
		name := stems[stem] + " " + trades[(first[stem]+i/len(stems))%len(trades)]
		given, family := firstNames[r.IntN(len(firstNames))], lastNames[r.IntN(len(lastNames))]
		out[i] = Organization{
			Name: name, Owner: given + " " + family,
			Email: fmt.Sprintf("%s.%s@%s.example", strings.ToLower(given), strings.ToLower(family), hostOf(name)),
		}
	}
	return out
}

// hostOf is a name as a host: "barley-finch-foods".
func hostOf(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r < 'a' || r > 'z' })
	return strings.Join(words, "-")
}
