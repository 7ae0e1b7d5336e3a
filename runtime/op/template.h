/* For headers that define an op: the file that includes one says the NAME first. */
#ifndef TUTTI_OP_TEMPLATE_H
#define TUTTI_OP_TEMPLATE_H

#define TUTTI_JOIN2(a, b) a##b
#define TUTTI_JOIN(a, b)  TUTTI_JOIN2(a, b)
#define TUTTI_TEXT2(a)    #a
#define TUTTI_TEXT(a)     TUTTI_TEXT2(a)

#define TUTTI_CONSTRUCTOR TUTTI_JOIN(tutti_, NAME)
#define TUTTI_TABLE       TUTTI_JOIN(tutti_op_, NAME)

#endif
