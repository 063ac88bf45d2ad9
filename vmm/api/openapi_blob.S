/* SPDX-License-Identifier: Apache-2.0 */

/* The description of the API inside the program. OPENAPI_JSON is the path, given by the Makefile. */
	.section .rodata
	.global api_openapi, api_openapi_end
api_openapi:
	.incbin OPENAPI_JSON
api_openapi_end:
	.section .note.GNU-stack, "", %progbits
