/* What the start code needs of a program. */
#ifndef STARTUP_H
#define STARTUP_H

int main(void);

/* Ends the program, after main or a fault: there is no operating system to return to. */
void stop(int status) __attribute__((noreturn));

#endif
