// Package proof holds claims about kernels, proven on booted ones.
//
// Its tests need SYSRQ_LAB=1.
package proof
