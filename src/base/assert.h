/* assert: checks for bugs, always on. Never used on input from disk, wire, user or OS. */
#ifndef TIDEMARK_BASE_ASSERT_H
#define TIDEMARK_BASE_ASSERT_H

/* Print "file:line: condition" to stderr and abort. The only exit in library code. */
_Noreturn void assert_panic(const char *condition, const char *file, int line);

/* An expression, so that it adds no nesting and can stand in a comma expression. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_panic(#condition, __FILE__, __LINE__))
#define UNREACHABLE()     assert_panic("unreachable", __FILE__, __LINE__)

#endif
