package analytics

import "math"

// Z95 is the quantile of the normal distribution for an interval that holds the
// truth in 95 of 100 cases.
const Z95 = 1.959963984540054

// Wilson is the interval in which the true share lies of which k out of n were
// seen, at the confidence of a quantile z of the normal distribution such as
// Z95. Unlike the usual one it is never empty and never leaves 0 to 1, however
// few there are. Without any it is everything. https://www.itl.nist.gov/div898/handbook/prc/section2/prc241.htm
func Wilson(k, n int64, z float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	share, all := float64(k)/float64(n), float64(n)
	spread := z * math.Sqrt(share*(1-share)/all+z*z/(4*all*all))
	scale := 1 + z*z/all
	middle := share + z*z/(2*all)
	return max(0, (middle-spread)/scale), min(1, (middle+spread)/scale)
}
